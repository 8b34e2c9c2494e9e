// `status`: the whole at a glance.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'status',
  summary: 'Services, targets, queues, events and what comes next',
  examples: [
    ['./dbops status', 'one screen'],
    ["./dbops status --json | jq '.services[] | select(.ready | not)'", 'one object: services, targets, queues, streams, next'],
  ],
  run: async c => (await import('../status.ts')).status(c),
})
