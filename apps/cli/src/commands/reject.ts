// `reject RUN`: ends a run that waits for approval.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'reject',
  summary: 'Refuses a run that waits for approval',
  arguments: { '<run>': 'the last 8 characters of its id will do' },
  listedBy: './dbops runs --state awaiting_approval',
  options: { '--reason <text>': 'told to the asker; required' },
  examples: [['./dbops reject 8f3a91c2 --reason "not this week"', 'the run ends as refused, with this reason']],
  run: async c => (await import('../runs/answer-run.ts')).rejectRun(c),
})
