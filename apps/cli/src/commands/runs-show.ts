// `runs show ID`: everything about one run.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'runs show',
  summary: 'All about one run: result, plan, policy, evidence, history',
  arguments: { '<id>': 'its last 8 characters will do' },
  listedBy: './dbops runs',
  examples: [
    ['./dbops runs show 8f3a91c2', 'what happened to it'],
    ['./dbops runs show 8f3a91c2 --json | jq .evidence', 'what its proof found'],
  ],
  run: async c => (await import('../runs/show-run.ts')).showRun(c),
})
