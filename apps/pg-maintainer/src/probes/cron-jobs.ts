// pg.cron-jobs: jobs of pg_cron that do what this system does, that fail without anybody hearing of it, or that fall into one of pg_cron's traps.
import type { Look } from '@dbops/contract/task'
import { z } from 'zod'
import { type CronJob, type Doings, everyTable, judgeJob } from '../cron-jobs/judge.ts'
import { readCron } from '../cron-jobs/read.ts'
import { defineProbe } from '../task.ts'

/** pg_cron keeps every run for ever; from so many rows on it is a finding. */
const tooManyRuns = 1_000_000

export default defineProbe({
  name: 'pg.cron-jobs',
  summary: 'Jobs of pg_cron: those that do what this system does, failing ones, and traps',
  every: '5m',
  result: z.strictObject({
    installed: z.boolean(),
    /** The database that has pg_cron's tables. */
    database: z.string().nullable(),
    jobs: z.array(
      z.strictObject({
        id: z.int(),
        name: z.string().nullable(),
        schedule: z.string(),
        command: z.string(),
        database: z.string(),
        active: z.boolean(),
        lastStatus: z.string().nullable(),
        lastStart: z.iso.datetime().nullable(),
        lastMessage: z.string().nullable(),
      }),
    ),
    complete: z.boolean(),
    /** About so many rows in cron.job_run_details. */
    runs: z.int().nullable(),
    reason: z.string().nullable(),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ jobs }) => ({
    cron_jobs: jobs.filter(({ active }) => active).length,
    cron_jobs_failing: jobs.filter(({ active, lastStatus }) => active && lastStatus === 'failed').length,
  }),
  async look(c) {
    if (c.config.engine !== 'pg') throw new Error('pg.cron-jobs looks at PostgreSQL targets')
    const { jobs, database, complete, runs, reason } = await readCron(c.pg, { target: c.target, config: c.config, signal: c.signal })
    const doings = doingsOf(c.entries)
    // Jobs of other databases are other targets'; in pg_cron's own database stand also those that were meant for this one and forgot to say so.
    const mine = jobs.filter(job => job.database === c.pg.database || job.database === database)
    for (const job of mine) for (const fault of judgeJob(job, doings, c.pg.database)) c.find(fault)
    if (runs !== null && runs > tooManyRuns)
      c.find({
        key: 'runs',
        level: 'warning',
        what: `cron.job_run_details has about ${runs.toLocaleString('en-US')} rows: pg_cron deletes none`,
        sql: `DELETE FROM cron.job_run_details WHERE end_time < now() - interval '7 days'`,
      })
    return {
      installed: database !== null,
      database,
      jobs: mine.slice(0, 100).map(shown),
      complete,
      runs,
      reason,
    }
  },
})

// The plan of an operator and not a customer's values: the text is told as it stands, but for secrets, which the runner takes out of everything.
const shown = ({ command, lastStart, ...job }: CronJob) => ({
  ...job,
  command: command.length > 500 ? `${command.slice(0, 499)}…` : command,
  lastStart: lastStart?.toISOString() ?? null,
})

/** Which tables this system deletes from, vacuums, analyzes and refreshes by its schedules. */
function doingsOf({ purges, views, schedules }: Look<unknown>['entries']): Doings {
  const doings: Doings = { delete: new Map(), vacuum: new Map(), analyze: new Map(), refresh: new Map() }
  for (const [name, { task, params, enabled }] of Object.entries(schedules)) {
    if (!enabled) continue
    const by = `schedules.${name}`
    const listed = Array.isArray(params.tables) && params.tables.length ? (params.tables as string[]) : [everyTable]
    const purge = purges[String(params.policy)]
    const view = views[String(params.group)]
    if (task === 'pg.vacuum') for (const table of listed) doings.vacuum.set(table, by)
    if (task === 'pg.analyze') for (const table of listed) doings.analyze.set(table, by)
    if (task === 'pg.purge' && purge) doings.delete.set(purge.table, by)
    if (task === 'pg.refresh-views' && view) for (const member of view.members) doings.refresh.set(member, by)
  }
  return doings
}
