// `findings acknowledge ID`: somebody knows of it.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'findings acknowledge',
  summary: 'Says that somebody knows of a finding; it is counted no more until it comes back',
  arguments: { '<id>': 'its last 8 characters will do' },
  listedBy: './dbops findings',
  options: { '--note <text>': 'what is meant to be done, and when' },
  examples: [['./dbops findings acknowledge 8f3a91c2 --note "mended on Sunday"', 'it stands, and nobody need look again']],
  run: async c => (await import('../findings.ts')).acknowledgeFinding(c),
})
