// Who waits for a lock and for whom, as pg_blocking_pids says it: it knows waiters before one in the queue, and compares what locks really conflict.
import type { Statements } from '../task.ts'

export interface Waiter {
  pid: number
  /** 0 stands for a prepared transaction, which has no process. */
  blockers: number[]
  seconds: number
  mode: string
  /** `core.cases`, or what kind of thing it is. */
  on: string
}
export interface Participant {
  pid: number
  role: string | null
  application: string
  database: string | null
  kind: string | null
  state: string | null
  startedAt: Date | null
  transactionSeconds: number | null
  stateSeconds: number | null
  query: string | null
}
export interface PreparedTransaction {
  gid: string
  role: string
  at: Date
  seconds: number
}

/** So many of the longest waits are followed: pg_blocking_pids stops the lock manager for a moment each time. */
export const mostWaits = 100

// waitstart is null for an instant after a wait began. Of two locks that one process waits for (it never does) the older counts.
const waits = `
  WITH asked AS MATERIALIZED (
    SELECT l.pid, l.mode, l.locktype, l.relation, l.waitstart
      FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE NOT l.granted AND a.datname = current_database()
     ORDER BY l.waitstart NULLS LAST
     LIMIT ${mostWaits})
  SELECT pid, ARRAY(SELECT DISTINCT unnest(pg_blocking_pids(pid))) AS blockers,
         coalesce(extract(epoch FROM clock_timestamp() - waitstart), 0)::float8 AS seconds,
         replace(mode, 'Lock', '') AS mode,
         coalesce((SELECT format('%s.%s', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = relation),
                  CASE locktype
                    WHEN 'transactionid' THEN 'the end of a transaction that changed the same row'
                    WHEN 'tuple' THEN 'a row'
                    WHEN 'virtualxid' THEN 'the end of an older transaction'
                    WHEN 'advisory' THEN 'an advisory lock'
                    ELSE locktype END) AS "on"
    FROM asked`
const countWaits = `
  SELECT count(DISTINCT l.pid)::int AS waiting
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
   WHERE NOT l.granted AND a.datname = current_database()`
const participants = `
  SELECT pid, usename AS role, coalesce(application_name, '') AS application, datname AS database, backend_type AS kind, state, xact_start AS "startedAt",
         extract(epoch FROM clock_timestamp() - xact_start)::float8 AS "transactionSeconds",
         extract(epoch FROM clock_timestamp() - state_change)::float8 AS "stateSeconds", query
    FROM pg_stat_activity
   WHERE pid = ANY ($1)`
const preparedTransactions = `
  SELECT gid, owner AS role, prepared AS at, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
    FROM pg_prepared_xacts
   WHERE database = current_database()
   ORDER BY prepared
   LIMIT 5`

export interface Waits {
  /** All of this database, also beyond those that are followed. */
  waiting: number
  waiters: Waiter[]
  participants: Map<number, Participant>
  prepared: PreparedTransaction[]
}

/** A picture that may be a few milliseconds blurred: who stopped waiting between two of its statements is left out. */
export async function waitsOf(pg: Statements): Promise<Waits> {
  const [{ waiting }] = (await pg.query<{ waiting: number }>(countWaits)) as [{ waiting: number }]
  if (!waiting) return { waiting, waiters: [], participants: new Map(), prepared: [] }
  const waiters = (await pg.query<Waiter>(waits)).filter(({ blockers }) => blockers.length)
  const pids = [...new Set(waiters.flatMap(({ pid, blockers }) => [pid, ...blockers]))]
  const rows = await pg.query<Participant>(participants, [pids])
  const prepared = pids.includes(0) ? await pg.query<PreparedTransaction>(preparedTransactions) : []
  return { waiting, waiters, participants: new Map(rows.map(row => [row.pid, row])), prepared }
}
