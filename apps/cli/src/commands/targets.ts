// `targets`: what is looked after, and whether it answers.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'targets',
  summary: 'What is looked after: engine, whether it answers and since when, version',
  examples: [
    ['./dbops targets', 'a line each'],
    ['./dbops targets --json | jq -r \'select(.state != "up") | .name\'', 'which do not answer'],
  ],
  run: async c => (await import('../targets.ts')).targets(c),
})
