// `ledger migrate`: brings the ledger's tables up to date.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'ledger migrate',
  summary: "Brings the ledger's tables up to date, with the login that owns it; where services own it they do that by themselves",
  examples: [
    ['DBOPS_LEDGER_URL="$OWNER_URL" ./dbops ledger migrate', 'before the services of a new release start'],
    ['DBOPS_LEDGER_URL="$OWNER_URL" ./dbops ledger migrate --json', 'for scripts: the names of what was applied'],
  ],
  run: async c => (await import('../ledger-migrate.ts')).migrateLedger(c),
})
