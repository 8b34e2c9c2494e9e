// `down`: stops the `up` of another terminal, and removes what it has kept when asked to.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'down',
  summary: 'Stops a running up',
  options: { '--purge': 'remove its home as well: the ledger, the sample, the logs and the backups in stores/' },
  examples: [
    ['./dbops down', 'as Ctrl-C in its terminal'],
    ['./dbops down --purge --yes', 'and begin anew, without a question'],
  ],
  run: async c => (await import('../up/down.ts')).down(c),
})
