// Holds one state of the database still, for pg_dump and for the counts: counted any other way, the numbers differ while somebody writes.

import { formatDuration } from '@dbops/contract/duration'
import { Problem } from '@dbops/contract/failure'
import type { Notice, Postgres, Statements } from '../task.ts'
import { type Measure, type Measured, measure } from './measure.ts'

export interface Snapshot extends Statements, AsyncDisposable {
  readonly id: string
  readonly at: Date
  /** Position in the log of the server, as `0/16B3748`. */
  readonly lsn: string
  /** Of the table alone, without those that inherit from it. */
  measure(table: Measured): Promise<Measure>
}

const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY`
const exportSnapshot = `
  SELECT pg_export_snapshot() AS id, transaction_timestamp() AS at,
         CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn`

/**
 * Ends by itself after `limit` ms: a snapshot keeps every row that dies meanwhile. Until then it may be idle as long as it likes, since
 * pg_dump can only take it over while it is open. Throws `snapshot_expired` for what is asked of it later.
 */
export async function holdSnapshot(pg: Postgres, limit: number): Promise<Snapshot> {
  const session = await pg.session({ idle_in_transaction_session_timeout: '0', timezone: 'UTC' })
  let expired = false
  const timer = setTimeout(() => {
    expired = true
    void session[Symbol.asyncDispose]()
  }, limit)
  timer.unref()
  const end = async () => {
    clearTimeout(timer)
    await session[Symbol.asyncDispose]()
  }
  const inTime = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      if (!expired) throw error
      throw new Problem(`the snapshot was held for ${formatDuration(limit)}, longer than it may`, {
        code: 'snapshot_expired',
        hint: 'the counts take too long, or pg_dump waits for locks: see pg_stat_activity',
        cause: error,
      })
    }
  }
  const query = <Row extends object>(sql: string, values?: unknown[]) => inTime(() => session.query<Row>(sql, values))
  const execute = (sql: string): Promise<Notice[]> => inTime(() => session.execute(sql))
  try {
    await execute(begin)
    const [exported] = await query<{ id: string; at: Date; lsn: string }>(exportSnapshot)
    return {
      ...exported!,
      query,
      execute,
      measure: table => measure({ query, execute }, table),
      [Symbol.asyncDispose]: end,
    }
  } catch (error) {
    await end()
    throw error
  }
}
