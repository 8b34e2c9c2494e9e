// `cancel RUN`: ends a run, waiting or at work.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'cancel',
  summary: 'Ends a run: at once while it waits, within 15 s while it works',
  arguments: { '<run>': 'the last 8 characters of its id will do' },
  listedBy: './dbops runs --state queued,running,parked',
  examples: [['./dbops cancel 8f3a91c2', 'its processes and sessions are gone when it says so']],
  run: async c => (await import('../runs/cancel-run.ts')).cancelRun(c),
})
