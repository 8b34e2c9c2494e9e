// `dlq replay`: lets events go out again, when what their reader stumbled over is mended.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'dlq replay',
  summary: 'Lets dead letters go out again under their own ids: who has handled them passes them by',
  arguments: { '[ids...]': 'their last 8 characters will do' },
  options: { '--all': 'every one that is an event and waits', '--reader <name>': 'with --all: only of this consumer group' },
  examples: [
    ['./dbops dlq replay 8f3a91c2', 'one'],
    ['./dbops dlq replay --all --reader alert-relay --yes', 'all that the relay has set aside'],
  ],
  run: async c => (await import('../dead-letters.ts')).replayDeadLetters(c),
})
