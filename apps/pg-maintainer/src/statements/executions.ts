// Executions that are slow now, as pg_stat_activity shows them, and how the same one is known again.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Statements } from '../task.ts'

/** One execution of a statement, seen while it ran. */
export interface Execution {
  /** Process and beginning: the next statement of the same session is another one, also when a pid comes again. */
  key: string
  pid: number
  role: string | null
  application: string
  ms: number
  query: string
}

// Ours have times of their own, walsenders stream for ever, a parallel worker is its leader's, autovacuum may take as long as it takes.
const slowNow = `
  SELECT pid || ' ' || extract(epoch FROM query_start) AS key, pid, usename AS role, coalesce(application_name, '') AS application,
         extract(epoch FROM clock_timestamp() - query_start)::float8 * 1000 AS ms, query
    FROM pg_stat_activity
   WHERE state = 'active' AND backend_type = 'client backend' AND leader_pid IS NULL AND datname = current_database()
     AND NOT starts_with(application_name, 'dbops:')
     AND clock_timestamp() - query_start > $1 * interval '1 millisecond'`
const countHidden = `
  SELECT count(*)::int AS hidden FROM pg_stat_activity WHERE datname = current_database() AND backend_type IS NULL`

export interface Seen {
  /** Each once, with its longest time. */
  executions: Execution[]
  /** Keys of those that still ran at the end. */
  running: string[]
  /** Sessions of which the role may see nothing. */
  hidden: number
}

/** Looks `samples` times, `pause` ms apart, so that what runs a little longer than `slow` ms is not missed between two readings. */
export async function slowExecutions(
  pg: Pick<Statements, 'query'>,
  { slow, samples, pause, signal }: { slow: number; samples: number; pause: number; signal: AbortSignal },
): Promise<Seen> {
  const all = new Map<string, Execution>()
  let running: string[] = []
  for (let n = 1; ; n++) {
    const now = await pg.query<Execution>(slowNow, [slow])
    for (const one of now) all.set(one.key, one)
    running = now.map(({ key }) => key)
    if (n >= samples) break
    await sleep(pause, undefined, { signal })
  }
  const [row] = await pg.query<{ hidden: number }>(countHidden)
  return { executions: [...all.values()], running, hidden: row!.hidden }
}
