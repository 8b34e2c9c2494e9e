// `dlq show ID`: the entry, and why it was set aside.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'dlq show',
  summary: 'One dead letter: who set it aside, why, and what it holds',
  arguments: { '<id>': 'its last 8 characters will do' },
  listedBy: './dbops dlq',
  examples: [
    ['./dbops dlq show 8f3a91c2', 'for people'],
    ["./dbops dlq show 8f3a91c2 --json | jq '.ce | fromjson'", 'the event itself'],
  ],
  run: async c => (await import('../dead-letters.ts')).showDeadLetter(c),
})
