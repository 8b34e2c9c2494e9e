// Whom sessions that wait for a lock wait for in the end: not the one in front of them, who may wait too, but the first who waits for nobody.
import type { Statements } from '../task.ts'

export interface LockRoot {
  /** 0: a prepared transaction, which has no process. */
  pid: number
  name: string
  role: string | null
  state: string | null
  /** When its transaction began. */
  since: Date | null
}

// Without pg_monitor the session of another role has its pid only.
const rootOfWaits = `
  WITH RECURSIVE chain (pid) AS (
    SELECT unnest(pg_blocking_pids(waiting)) FROM unnest($1::int[]) AS waiting
     UNION
    SELECT unnest(pg_blocking_pids(pid)) FROM chain
  )
  SELECT chain.pid, coalesce(nullif(application_name, ''), backend_type, '') AS name, usename AS role, state, xact_start AS since
    FROM chain LEFT JOIN pg_stat_activity a ON a.pid = chain.pid
   WHERE cardinality(pg_blocking_pids(chain.pid)) = 0
   ORDER BY xact_start NULLS LAST
   LIMIT 1`

/** The oldest of the roots; undefined where none of `pids` waits any more, or in a circle that the server is about to break. */
export const rootOf = async (pg: Statements, pids: number[]): Promise<LockRoot | undefined> =>
  (await pg.query<LockRoot>(rootOfWaits, [pids]))[0]

export const describeRoot = ({ pid, name, role, state, since }: LockRoot) =>
  pid === 0
    ? 'a prepared transaction (pg_prepared_xacts)'
    : `session ${pid} "${name}"${role ? ` of ${role}` : ''}${state ? ` (${state})` : ''}${since ? ` since ${since.toISOString()}` : ''}`

/** Undefined for a prepared transaction: the server does not say which of them. */
export const endOfRoot = ({ pid }: LockRoot): string | undefined => (pid === 0 ? undefined : `SELECT pg_terminate_backend(${pid})`)
