// `approve RUN`: lets a run begin that somebody else asked for.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'approve',
  summary: 'Shows the plan of a run that waits for approval, and lets it begin',
  arguments: { '<run>': 'the last 8 characters of its id will do' },
  listedBy: './dbops runs --state awaiting_approval',
  options: { '--reason <text>': 'written into the audit' },
  examples: [
    ['./dbops approve 8f3a91c2 --as approver', 'as another person than the one who asked'],
    ['./dbops approve 8f3a91c2 --as approver --reason "change 4711" --yes', 'without the question'],
  ],
  run: async c => (await import('../runs/answer-run.ts')).approveRun(c),
})
