// `dlq`: events that a reader set aside.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'dlq',
  summary: 'Dead letters: what readers of dbops:events have set aside and nobody has let go out again or dropped, the newest first',
  options: {
    '--reader <name>': 'only of this consumer group',
    '--all': 'those too that went out again or were dropped',
    '--limit <n>': { about: 'at most', default: '50' },
  },
  examples: [
    ['./dbops dlq', 'what waits for somebody to look at it'],
    ['./dbops dlq --reader alert-relay --json | jq -r .reason', 'for scripts'],
  ],
  run: async c => (await import('../dead-letters.ts')).deadLetters(c),
})
