// `locks release RUN`: break-glass, takes the locks of a run whose process is gone or hangs.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'locks release',
  summary: 'Break-glass: ends a run as failed, outcome unknown, and frees the locks that it holds',
  arguments: { '<run>': 'the last 8 characters of its id will do' },
  listedBy: './dbops runs --state running',
  options: {
    '--reason <text>': 'why, for the audit; without one it is not done',
    '--force': 'although its process was heard of within its lease; "dbops cancel" is the gentle way',
  },
  examples: [
    [
      './dbops locks release 8f3a91c2 --reason "host db-ops-2 is gone"',
      'its sessions are ended before the next work on that target begins',
    ],
    ['./dbops locks release 8f3a91c2 --reason "hangs, see INC-12" --force --yes', 'from a process that lives'],
  ],
  run: async c => (await import('../runs/release-run.ts')).releaseRun(c),
})
