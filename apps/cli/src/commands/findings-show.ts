// `findings show ID`: what it is, what would mend it, and how it came.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'findings show',
  summary: 'One finding: what it is, the SQL that would mend it, evidence, history',
  arguments: { '<id>': 'its last 8 characters will do' },
  listedBy: './dbops findings',
  examples: [
    ['./dbops findings show 8f3a91c2', 'for people'],
    ['./dbops findings show 8f3a91c2 --json | jq -r .sql | psql "$URL"', 'read it first'],
  ],
  run: async c => (await import('../findings.ts')).showFinding(c),
})
