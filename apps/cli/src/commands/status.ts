// `status`: the whole at a glance.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'status',
  summary: 'Services, targets, queues, events and what comes next',
  options: { '--watch [seconds]': 'one page, drawn again each second or so many; with --json an object each time' },
  examples: [
    ['./dbops status', 'one screen'],
    ['./dbops status --watch', 'what comes, what runs, how it ended, who was told; until Ctrl-C'],
    ["./dbops status --json | jq '.services[] | select(.ready | not)'", 'one object: services, targets, queues, streams, next'],
  ],
  run: async c => (await import('../status.ts')).status(c),
})
