// Finds pg_cron's tables, in this database or the one that the server keeps them in, and reads jobs with their last run.
import type { PgTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { targetUrl } from '@dbops/runtime/connection'
import { redact } from '@dbops/runtime/redact'
import { openSession } from '../session.ts'
import type { Postgres, Statements } from '../task.ts'
import { withoutRows } from '../without-rows.ts'
import type { CronJob } from './judge.ts'

// to_regclass would be an error for a role that may not look into the schema.
const whereCron = `
  SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'cron' AND relname = 'job') AS here,
         (SELECT setting FROM pg_settings WHERE name = 'cron.database_name') AS database`
// Columns that came later (jobname with 1.3) are looked for, as older installations are met. Runs have no index but their id.
const readJobs = `
  SELECT j.jobid::int AS id, to_jsonb(j) ->> 'jobname' AS name, j.schedule, j.command, j.database, j.active,
         r.status AS "lastStatus", r.return_message AS "lastMessage", r.start_time AS "lastStart"
    FROM cron.job j
    LEFT JOIN LATERAL (SELECT status, return_message, start_time
                         FROM (SELECT * FROM cron.job_run_details ORDER BY runid DESC LIMIT 5000) AS newest
                        WHERE newest.jobid = j.jobid AND status IN ('succeeded', 'failed')
                        ORDER BY runid DESC LIMIT 1) AS r ON true
   ORDER BY j.jobid
   LIMIT 500`
const countRuns = `SELECT greatest(reltuples, 0)::float8 AS runs FROM pg_class WHERE oid = 'cron.job_run_details'::regclass`
// Its tables have row level security: a role that is neither their owner nor bypasses it sees its own jobs, which is better than none.
const ownJobsOnly = `SELECT set_config('row_security', 'on', false)`

export interface CronTables {
  /** Null: pg_cron is not there. */
  database: string | null
  jobs: CronJob[]
  /** Whether these are all jobs. Otherwise `reason` says why not. */
  complete: boolean
  runs: number | null
  reason: string | null
}

const none = { database: null, jobs: [], complete: true, runs: null }

export async function readCron(
  pg: Postgres,
  { target, config, signal }: { target: string; config: PgTarget; signal: AbortSignal },
): Promise<CronTables> {
  const [{ here, database }] = (await pg.query<{ here: boolean; database: string | null }>(whereCron)) as [
    { here: boolean; database: string | null },
  ]
  if (here) return { database: pg.database, ...(await jobsIn(pg)) }
  if (!database || database === pg.database)
    return { ...none, reason: 'pg_cron is not installed, or the role may not see that it is (pg_monitor)' }
  try {
    const session = await openSession({ ...targetUrl(target, config), database }, { name: pg.name, signal })
    try {
      const [there] = await session.query<{ here: boolean }>(whereCron)
      if (!there!.here) return { ...none, reason: `pg_cron is loaded, and not installed in its database "${database}"` }
      return { database, ...(await jobsIn(session)) }
    } finally {
      await session.end()
    }
  } catch (error) {
    signal.throwIfAborted()
    return {
      database,
      jobs: [],
      complete: false,
      runs: null,
      reason: `database "${database}" cannot be looked into: ${redact(failureOf(error).message)}`,
    }
  }
}

async function jobsIn(pg: Statements): Promise<Omit<CronTables, 'database'>> {
  const read = async () => {
    const jobs = (await pg.query<CronJob>(readJobs)).map(job => ({ ...job, lastMessage: job.lastMessage && withoutRows(job.lastMessage) }))
    const [size] = await pg.query<{ runs: number }>(countRuns)
    return { jobs, runs: size!.runs }
  }
  const refused = (error: unknown) => {
    const { code, message } = failureOf(error)
    if (code !== '42501') throw error
    return redact(message)
  }
  try {
    return { ...(await read()), complete: true, reason: null }
  } catch (error) {
    const why = refused(error)
    await pg.query(ownJobsOnly)
    try {
      return { ...(await read()), complete: false, reason: `only the jobs of this role can be seen: ${why}` }
    } catch (again) {
      return { jobs: [], runs: null, complete: false, reason: `the role may not see the jobs: ${refused(again)}` }
    }
  }
}
