// `logs RUN`: what a run said.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'logs',
  summary: 'The last 500 lines of a run',
  arguments: { '<run>': 'the last 8 characters of its id will do' },
  listedBy: './dbops runs',
  options: { '--follow': 'go on until the run has ended' },
  examples: [
    ['./dbops logs 8f3a91c2', 'what it said'],
    ['./dbops logs 8f3a91c2 --follow', 'and what it will say'],
  ],
  run: async c => (await import('../runs/show-logs.ts')).showLogs(c),
})
