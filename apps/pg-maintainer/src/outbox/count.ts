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
/** In the planner's units, about 200 MB read: a count that would cost more is not made, as it is made every 30 s. */
const tooDear = 25_000

export const outboxTable = z.strictObject({
  table: z.string(),
  pending: z.int().nullable(),
  failed: z.int().nullable(),
  deadLetters: z.int().nullable(),
  /** Whether one of the three stopped at its bound: there are at least as many. */
  atLeast: z.boolean(),
  oldestPendingSeconds: z.number().nullable(),
  /** Words of `status` whose rows no index leads to, and that are too many to look through. */
  withoutIndex: z.array(z.string()),
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

const priceOf = (statement: string) => `EXPLAIN (FORMAT JSON) ${statement}`

/** Never throws for what is wrong with one table: that is its reason. Null: the table has no column `status`, so it is no outbox. */
export async function countOutbox(pg: Statements, name: string, signal: AbortSignal): Promise<OutboxTable | null> {
  const reasons: string[] = []
  const withoutIndex = new Set<string>()
  const ask = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      const { code, message } = failureOf(error)
      if (code === '57014') withoutIndex.add(what)
      else reasons.push(`${what}: ${redact(message)}`)
      return null
    }
  }
  await pg.query(limitStatements)
  const [table] = (await ask('the table', () => findRelations(pg, [name], ['r', 'p']))) ?? []
  if (!table) return { table: name, ...nothing, reason: reasons.join('; ') }
  const columns = (await pg.query<{ name: string }>(columnsOf, [table.oid])).map(({ name }) => name)
  if (!columns.includes('status')) return null

  const seek = <Row extends object>(status: string, statement: string) =>
    ask(status, async () => {
      if ((await price(pg, statement)) > tooDear) {
        withoutIndex.add(status)
        return null
      }
      return (await pg.query<Row>(statement))[0]!
    })
  const count = async (status: string) => (await seek<{ n: number }>(status, countStatus(table, status)))?.n ?? null
  const counted = {
    pending: await count(statuses.pending),
    failed: await count(statuses.failed),
    deadLetters: await count(statuses.deadLetters),
  }
  if (!columns.includes('created_at')) reasons.push('the oldest: there is no column created_at')
  const oldest =
    counted.pending && columns.includes('created_at')
      ? await seek<{ seconds: number }>(statuses.pending, oldestStatus(table, statuses.pending))
      : null
  if (withoutIndex.size) reasons.push(`${[...withoutIndex].join(', ')}: not counted, as it would read the whole table: an index is missing`)
  if (counted.pending === 0) reasons.push('nothing waits')
  const isBeyond = (n: number | null) => n !== null && n > most
  return {
    table: showTable(table),
    pending: bounded(counted.pending),
    failed: bounded(counted.failed),
    deadLetters: bounded(counted.deadLetters),
    atLeast: Object.values(counted).some(isBeyond),
    oldestPendingSeconds: oldest?.seconds ?? null,
    withoutIndex: [...withoutIndex],
    reason: reasons.length ? reasons.join('; ') : null,
  }
}

const nothing = { pending: null, failed: null, deadLetters: null, atLeast: false, oldestPendingSeconds: null, withoutIndex: [] }
const bounded = (n: number | null) => (n === null ? null : Math.min(n, most))

async function price(pg: Statements, statement: string): Promise<number> {
  const [row] = await pg.query<{ 'QUERY PLAN': [{ Plan: { 'Total Cost': number } }] }>(priceOf(statement))
  return row!['QUERY PLAN'][0].Plan['Total Cost']
}
