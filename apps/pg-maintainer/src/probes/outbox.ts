// pg.outbox: what waits in the outbox, what failed and what was given up, and how long the oldest has been waiting.
import type { Fault } from '@dbops/contract/task'
import { z } from 'zod'
import { countOutbox, type OutboxTable, outboxTable, statuses } from '../outbox/count.ts'
import { parseTable, quoteTable } from '../table-name.ts'
import { defineProbe } from '../task.ts'

/** A purge that tells this event cleans an outbox: so the configuration names the tables, and nothing here does. */
const told = 'outbox_cleanup_completed'

export default defineProbe({
  name: 'pg.outbox',
  summary: 'Outbox tables, as purges with the event outbox_cleanup_completed name them: pending, failed, given up, the oldest',
  every: '30s',
  result: z.strictObject({
    tables: z.array(outboxTable),
    /** Why there are none. */
    reason: z.string().nullable(),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ tables }) => ({
    outbox_pending: byTable(tables, 'pending'),
    outbox_failed: byTable(tables, 'failed'),
    outbox_dead_letters: byTable(tables, 'deadLetters'),
    outbox_oldest_pending_seconds: byTable(tables, 'oldestPendingSeconds'),
  }),
  async look(c) {
    const names = new Set(Object.values(c.entries.purges).flatMap(({ table, event }) => (event === told ? [table] : [])))
    const tables: OutboxTable[] = []
    for (const name of names) {
      const counted = await countOutbox(c.pg, name, c.signal)
      if (counted) tables.push(counted)
      for (const status of counted?.withoutIndex ?? []) c.find(indexMissing(name, status))
    }
    return { tables, reason: tables.length ? null : `no purge of this target has the event ${told} and a table with a column "status"` }
  },
})

const indexMissing = (table: string, status: string): Fault => ({
  key: `index ${table} ${status}`,
  level: status === statuses.pending ? 'warning' : 'info',
  what: `rows of ${table} in state ${status} are not counted: no index leads to them, so whoever looks for them reads the whole table`,
  hint: 'give it a partial index, in a migration',
  sql: `CREATE INDEX CONCURRENTLY ON ${quoteTable(parseTable(table)!)} (created_at) WHERE status = '${status}'`,
})

const byTable = (tables: OutboxTable[], key: 'pending' | 'failed' | 'deadLetters' | 'oldestPendingSeconds') =>
  tables.map(({ table, [key]: value }) => ({ labels: { table }, value }))
