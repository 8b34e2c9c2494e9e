// `locks`: who waits for whom.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'locks',
  summary: 'Who waits for a lock, for how long, and behind whom: the last reading of pg.locks, as a tree',
  options: { '--target <name>': 'only of this target' },
  examples: [
    ['./dbops locks', 'of all targets'],
    ["./dbops locks --target core --json | jq '.roots[].pid'", 'the sessions that everybody waits for'],
  ],
  run: async c => (await import('../locks.ts')).locks(c),
})
