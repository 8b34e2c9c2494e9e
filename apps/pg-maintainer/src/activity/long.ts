// Sessions that have been busy, or idle in a transaction, for long; and autovacuum, which may be.
import type { Statements } from '../task.ts'

export interface LongSession {
  pid: number
  role: string | null
  application: string
  state: string
  seconds: number
  transactionSeconds: number | null
  /** Of the statement where it is active, of the transaction where it is idle in one. */
  since: Date
  waits: string | null
  query: string | null
}
export interface Worker {
  pid: number
  seconds: number | null
  query: string | null
}

// Told apart by their kind and not by their text: a statement that mentions pg_stat_activity may be somebody's long one. Ours have times of
// their own, walsenders stream for ever, parallel workers are their leader's.
const longSessions = `
  SELECT pid, usename AS role, coalesce(application_name, '') AS application, state,
         extract(epoch FROM clock_timestamp() - CASE state WHEN 'active' THEN query_start ELSE state_change END)::float8 AS seconds,
         extract(epoch FROM clock_timestamp() - xact_start)::float8 AS "transactionSeconds",
         CASE state WHEN 'active' THEN query_start ELSE xact_start END AS since,
         nullif(concat_ws(': ', wait_event_type, wait_event), '') AS waits, query
    FROM pg_stat_activity
   WHERE datname = current_database() AND backend_type = 'client backend' AND leader_pid IS NULL
     AND NOT starts_with(application_name, 'dbops:')
     AND (state = 'active' AND clock_timestamp() - query_start > $1 * interval '1 second'
          OR state LIKE 'idle in transaction%' AND clock_timestamp() - state_change > $2 * interval '1 second')
   ORDER BY seconds DESC`
const workers = `
  SELECT pid, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds, query
    FROM pg_stat_activity
   WHERE datname = current_database() AND backend_type = 'autovacuum worker'
   ORDER BY seconds DESC NULLS LAST`
const countHidden = `
  SELECT count(*)::int AS hidden
    FROM pg_stat_activity
   WHERE datname = current_database() AND backend_type IS NULL`

/** Active for more than `active` seconds or idle in a transaction for more than `idle`; the longest first. */
export async function longActivity(pg: Statements, { active, idle }: { active: number; idle: number }) {
  const sessions = await pg.query<LongSession>(longSessions, [active, idle])
  const autovacuum = await pg.query<Worker>(workers)
  const [{ hidden }] = (await pg.query<{ hidden: number }>(countHidden)) as [{ hidden: number }]
  return { sessions, autovacuum, hidden }
}
