// `ledger status`: how the ledger itself is.
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  path: 'ledger status',
  summary: 'The ledger itself: its size by table and what trims it, its migrations, what waits in its outbox, its newest dump',
  examples: [
    ['./dbops ledger status', 'for people'],
    ["./dbops ledger status --json | jq '.dump.createdAt'", 'how old its newest dump is'],
  ],
  run: async c => (await import('../ledger-status.ts')).ledgerStatus(c),
})
