// What waits in an outbox: counted by status, never beyond a bound, and with a reason where it cannot be counted quickly.
import { failureOf } from '@dbops/contract/failure'
import { redact } from '@dbops/runtime/redact'
import { escapeLiteral } from 'pg'
import { z } from 'zod'
import { findRelations } from '../relations.ts'
import { quoteTable, showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

/** The words of the outbox pattern for a row's state, as the platform writes them. */
export const statuses = { pending: 'PENDING', failed: 'FAILED', deadLetters: 'DEAD_LETTER' } as const

/** More than this is counted by nobody: the number is then `atLeast`. */
const most = 100_000

export const outboxTable = z.strictObject({
  table: z.string(),
  pending: z.int().nullable(),
  failed: z.int().nullable(),
  deadLetters: z.int().nullable(),
  /** Whether one of the three stopped at its bound: there are at least as many. */
  atLeast: z.boolean(),
  oldestPendingSeconds: z.number().nullable(),
  /** Why something above is null. */
  reason: z.string().nullable(),
})
export type OutboxTable = z.infer<typeof outboxTable>

const limitStatements = `SELECT set_config('statement_timeout', '1s', false)`
const columnsOf = `
  SELECT attname AS name
    FROM pg_attribute
   WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped AND attname IN ('status', 'created_at')`
const countStatus = (table: TableName, status: string) => `
  SELECT count(*)::int AS n FROM (SELECT FROM ${quoteTable(table)} WHERE status = ${escapeLiteral(status)} LIMIT ${most + 1}) AS bounded`
const oldestStatus = (table: TableName, status: string) => `
  SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 AS seconds FROM ${quoteTable(table)} WHERE status = ${escapeLiteral(status)}`

/** Never throws for what is wrong with one table: that is its reason. Null: the table has no column `status`, so it is no outbox. */
export async function countOutbox(pg: Statements, name: string, signal: AbortSignal): Promise<OutboxTable | null> {
  const reasons: string[] = []
  const nothing = { table: name, pending: null, failed: null, deadLetters: null, atLeast: false, oldestPendingSeconds: null }
  const ask = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      const { code, message } = failureOf(error)
      reasons.push(`${what}: ${code === '57014' ? 'not counted within 1 s, an index is missing' : redact(message)}`)
      return null
    }
  }
  await pg.query(limitStatements)
  const found = await ask('the table', () => findRelations(pg, [name], ['r', 'p']))
  const [table] = found ?? []
  if (!table) return { ...nothing, reason: reasons.join('; ') }
  const columns = (await pg.query<{ name: string }>(columnsOf, [table.oid])).map(({ name }) => name)
  if (!columns.includes('status')) return null

  const count = (status: string) => ask(status, async () => (await pg.query<{ n: number }>(countStatus(table, status)))[0]!.n)
  const counted = {
    pending: await count(statuses.pending),
    failed: await count(statuses.failed),
    deadLetters: await count(statuses.deadLetters),
  }
  const oldest = columns.includes('created_at')
    ? await ask('the oldest', async () => (await pg.query<{ seconds: number | null }>(oldestStatus(table, statuses.pending)))[0]!.seconds)
    : (reasons.push('the oldest: there is no column created_at'), null)
  const isBeyond = (n: number | null) => n !== null && n > most
  return {
    table: showTable(table),
    ...(Object.fromEntries(Object.entries(counted).map(([key, n]) => [key, isBeyond(n) ? most : n])) as typeof counted),
    atLeast: Object.values(counted).some(isBeyond),
    oldestPendingSeconds: oldest,
    reason: reasons.length ? reasons.join('; ') : counted.pending === 0 ? 'nothing waits' : null,
  }
}
