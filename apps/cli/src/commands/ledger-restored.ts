// `ledger restored`: makes a ledger that came from an older copy fit to work with.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'ledger restored',
  summary: 'After a restore of the ledger, before any service starts: sets its fences ahead and lists the backups that it does not know',
  examples: [
    ['./dbops ledger restored --config my.yaml', 'docs/operate/ledger-lost.md has the whole way'],
    ['./dbops ledger restored --config my.yaml --yes --json', 'for scripts; a second time it does no harm'],
  ],
  run: async c => (await import('../ledger-restored.ts')).ledgerRestored(c),
})
