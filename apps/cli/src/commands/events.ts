// `events`: what was told, and with --follow what is told.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'events',
  summary: 'The newest events, as they were told',
  options: {
    '--follow': 'go on until Ctrl-C',
    '--since <time>': 'all since: 2h, 7d, 2026-12-31T22:00',
    '--limit <n>': { about: 'at most; 50 without --since' },
  },
  examples: [
    ['./dbops events --since 1h', 'what happened'],
    ["./dbops events --follow --json | jq -r '[.time, .type, .subject] | @tsv'", 'each as a CloudEvent, as it is told'],
  ],
  run: async c => (await import('../events.ts')).events(c),
})
