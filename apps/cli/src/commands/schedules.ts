// `schedules`: what comes, and what came of it last time.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'schedules',
  summary: 'What is due when, what is paused, how the last slot ended',
  examples: [
    ['./dbops schedules', 'the next slot of each'],
    ["./dbops schedules --json | jq -r '[.name, .next[]] | @tsv'", 'the next five of each, in UTC'],
  ],
  run: async c => (await import('../schedules.ts')).schedules(c),
})
