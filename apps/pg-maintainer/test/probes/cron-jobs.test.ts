// pg.cron-jobs on a server with a real pg_cron: jobs that do what we do, failing ones, traps, and what a role may see of them.
import { configFile } from '@dbops/contract/config-file'
import { findOrInstall } from '@dbops/servers/install'
import { databaseUrl, startPostgres } from '@dbops/servers/postgres'
import type { Server } from '@dbops/servers/resolve'
import { until } from '@dbops/testing/until'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { parseStatement, splitStatements } from '../../src/cron-jobs/statements.ts'
import cronJobs from '../../src/probes/cron-jobs.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

// A server in Docker, or one that is given, has what it has: then what needs pg_cron is skipped, and the reason stands in the output.
const missing = process.env['DBOPS_TEST_PG_URL']
  ? 'the server of the tests is a given one'
  : await findOrInstall('pg_cron').then(
      () => undefined,
      (error: Error) => error.message,
    )
if (missing) console.warn(`pg.cron-jobs is not tried on a real pg_cron: ${missing}`)

const { purges, views, schedules } = configFile.parse({
  purges: {
    'outbox-published': { target: 'core', table: 'core.event_outbox', where: `status = 'PUBLISHED'`, by: 'published_at', age: '7d' },
  },
  views: { vision: { target: 'core', members: ['vision.mv_business_fact', 'vision.dim_org'] } },
  schedules: {
    vacuum: { task: 'pg.vacuum', target: 'core', cron: '30 2 * * *', params: { tables: ['core.event_outbox'] } },
    purge: { task: 'pg.purge', cron: '0 2 * * *', params: { policy: 'outbox-published' } },
    refresh: { task: 'pg.refresh-views', event: 'data_registered', params: { group: 'vision' } },
  },
})

// The jobs of the platform's own document, word for word.
const seed = `
  SELECT cron.schedule('outbox-cleanup', '0 17 * * *', $$DELETE FROM event_outbox
    WHERE status = 'PUBLISHED' AND published_at < now() - interval '7 days'$$);
  SELECT cron.schedule('llm-log-cleanup', '15 17 * * *', $$DELETE FROM llm_call_logs
    WHERE created_at < now() - interval '30 days'$$);
  SELECT cron.schedule('analyze-tables', '0 18 * * *', $$ANALYZE cases; ANALYZE bpm_work_item; ANALYZE event_outbox;$$);
  SELECT cron.schedule('vacuum-outbox', '0 19 * * *', $$VACUUM (VERBOSE, ANALYZE) event_outbox$$);
  SELECT cron.schedule('mv-refresh', '0 */6 * * *', $$REFRESH MATERIALIZED VIEW CONCURRENTLY mv_business_fact;
    REFRESH MATERIALIZED VIEW CONCURRENTLY dim_org;$$);`

describe.skipIf(missing)('a server with pg_cron', () => {
  let server: Server
  let home: Ground
  beforeAll(async () => {
    server = await startPostgres({ version: '15', settings: { shared_preload_libraries: 'pg_cron', 'cron.use_background_workers': 'on' } })
    home = await ground('CREATE SCHEMA core; CREATE EXTENSION pg_cron', {
      url: server.url,
      name: 'postgres',
      drop: () => Promise.resolve(),
    })
    await home.sql('CREATE DATABASE app')
  })
  afterEach(() => home.sql('DELETE FROM cron.job; DELETE FROM cron.job_run_details'))
  afterAll(async () => {
    await home.drop()
    await server.stop()
  })
  const look = (url = server.url) => lookOnce(cronJobs, url, { entries: { purges, views, schedules } })
  const keys = async (url?: string) => {
    const { faults } = await look(url)
    const jobs = await home.sql<{ id: number; name: string }>('SELECT jobid::int AS id, jobname AS name FROM cron.job')
    const names = new Map(jobs.map(({ id, name }) => [String(id), name]))
    return faults.map(({ key }) => key.replace(/\d+$/, id => names.get(id)!)).toSorted()
  }

  test('and the jobs of the platform’s document: what is done twice is found, and each trap', async () => {
    await home.sql(seed)
    expect(await keys()).toEqual([
      'double mv-refresh',
      'double outbox-cleanup',
      'double vacuum-outbox',
      'trap analyze-tables',
      'trap llm-log-cleanup',
      'trap mv-refresh',
      'trap outbox-cleanup',
      'trap vacuum-outbox',
    ])
  })

  test('tells who else does it, and the statement that takes the job away does so', async () => {
    await home.sql(`SELECT cron.schedule('old', '0 17 * * *', 'DELETE FROM core.event_outbox WHERE true')`)
    const { faults } = await look()
    await home.sql(faults[0]!.sql!)
    expect([faults.map(({ what }) => what.replace(/job \d+/, 'job N')), await keys()]).toEqual([
      [`pg_cron's job N "old" does what this system does too: delete of core.event_outbox (schedules.purge); both run`],
      [],
    ])
  })

  test('tells a job that failed, with what the server said; an old failure before a success is none', async () => {
    await home.sql(`SELECT cron.schedule('fails', '0 1 * * *', 'SELECT 1/0'), cron.schedule('works', '0 1 * * *', 'SELECT 1')`)
    const ended = (name: string, status: string) => `
      INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, return_message, start_time)
      SELECT jobid, nextval('cron.runid_seq'), database, username, command, '${status}', 'ERROR:  division by zero', now() FROM cron.job WHERE jobname = '${name}';`
    await home.sql(ended('works', 'failed') + ended('works', 'succeeded') + ended('fails', 'succeeded') + ended('fails', 'failed'))
    const { faults } = await look()
    expect(faults.map(({ level, what }) => `${level}: ${what.replace(/job \d+/, 'job N')}`)).toEqual([
      `error: pg_cron's job N "fails" failed at its last run: ERROR:  division by zero`,
    ])
  })

  test.runIf(process.env['DBOPS_LONG'])(
    'tells a job that has really failed, within two minutes',
    async () => {
      await home.sql(`SELECT cron.schedule('fails', '* * * * *', 'SELECT 1/0')`)
      const faults = async () => (await look()).faults
      await until('it has failed', async () => (await faults()).length, { within: 130_000, every: 1_000 })
      expect(await faults()).toMatchObject([{ level: 'error', what: expect.stringContaining('division by zero') as string }])
    },
    150_000,
  )

  test('says nothing of a job that is switched off, nor of one that another database runs', async () => {
    await home.sql(`
      SELECT cron.schedule('off', '0 17 * * *', 'DELETE FROM core.event_outbox');
      SELECT cron.schedule_in_database('elsewhere', '0 17 * * *', 'DELETE FROM core.event_outbox', 'template1');
      UPDATE cron.job SET active = false WHERE jobname = 'off'`)
    expect(await keys()).toEqual([])
  })

  test('is found from the database that it serves, too', async () => {
    await home.sql(`SELECT cron.schedule_in_database('served', '0 17 * * *', 'DELETE FROM core.event_outbox', 'app')`)
    const { result } = await look(databaseUrl(server.url, 'app'))
    expect([result.installed, result.database, (result.jobs as { name: string }[]).map(({ name }) => name)]).toEqual([
      true,
      'postgres',
      ['served'],
    ])
  })

  test('shows a role its own jobs alone, and says that these are not all', async () => {
    const role = await home.role('GRANT USAGE ON SCHEMA cron TO %; GRANT SELECT ON cron.job, cron.job_run_details TO %')
    await home.sql(`SELECT cron.schedule('superuser’s', '0 1 * * *', 'SELECT 1')`)
    const { result } = await look(home.as(role))
    expect([result.jobs, result.complete, result.reason]).toEqual([[], false, expect.stringContaining('row-level security') as string])
  })

  test('that a role may not look into is a reason', async () => {
    const { result } = await look(home.as(await home.role()))
    expect([result.complete, result.reason]).toEqual([false, expect.stringContaining('permission denied') as string])
  })
})

test('a server without pg_cron has none', async () => {
  const place = await ground('CREATE SCHEMA core')
  try {
    expect((await lookOnce(cronJobs, place.url)).result).toMatchObject({ installed: false, jobs: [], complete: true })
  } finally {
    await place.drop()
  }
})

test.each([
  ['VACUUM a; VACUUM b', ['VACUUM a', 'VACUUM b']],
  [`DELETE FROM a WHERE b = ';'`, [`DELETE FROM a WHERE b = ';'`]],
  [`SELECT $x$;$x$, "a;b" -- ;\n; SELECT 2`, [`SELECT $x$;$x$, "a;b"`, 'SELECT 2']],
  ['/* ; */ SELECT 1;;', ['SELECT 1']],
])('%j is taken apart', (command, statements) => {
  expect(splitStatements(command)).toEqual(statements)
})

test.each([
  ['delete from only core."My Table" where x', 'delete', ['core."My Table"'], false],
  ['WITH old AS (SELECT 1) DELETE FROM core.a USING old', 'delete', ['core.a'], false],
  ['TRUNCATE TABLE core.a, core.b', 'truncate', ['core.a', 'core.b'], false],
  ['VACUUM FULL VERBOSE core.a', 'vacuum', ['core.a'], true],
  ['VACUUM (VERBOSE, ANALYZE) a, b', 'vacuum', ['a', 'b'], true],
  ['VACUUM', 'vacuum', [], false],
  ['ANALYZE core . a', 'analyze', ['core.a'], false],
  ['REFRESH MATERIALIZED VIEW CONCURRENTLY vision.dim_org', 'refresh', ['vision.dim_org'], false],
  [`SELECT 'VACUUM VERBOSE x'`, 'other', [], false],
])('%j is a %s', (statement, verb, tables, verbose) => {
  expect(parseStatement(statement)).toEqual({ verb, tables, verbose })
})
