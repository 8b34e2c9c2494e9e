// `dlq drop`: says of dead letters that nothing is to be done about them.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'dlq drop',
  summary: 'Dead letters that shall not go out again: they wait no longer, and are kept with the reason',
  arguments: { '<ids...>': 'their last 8 characters will do' },
  listedBy: './dbops dlq',
  options: { '--reason <text>': 'why, for the audit; without one it is not done' },
  examples: [['./dbops dlq drop 8f3a91c2 --reason "a test of ours"', 'what its reader would have done is not done']],
  run: async c => (await import('../dead-letters.ts')).dropDeadLetters(c),
})
