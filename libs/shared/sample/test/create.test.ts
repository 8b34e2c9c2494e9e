// The sample platform on a real PostgreSQL: what it holds, who sees what, and what a second or a killed call does.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startPostgres } from '@dbops/servers/postgres'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSample, type Sample } from '../src/create.ts'

// A server of its own: roles belong to the whole server, and these tests tamper with them.
let server: Awaited<ReturnType<typeof startPostgres>>
let sample: Sample
let maintainer: Client

beforeAll(async () => {
  server = await startPostgres({ say: () => {} })
  sample = await createSample(server.url)
  maintainer = await open(sample.url)
})
afterAll(async () => {
  await maintainer?.end()
  await server?.stop()
})

describe('what it holds', () => {
  test('about 300,000 rows, and every table has some', async () => {
    const counts = await rowCounts(maintainer)
    const total = counts.reduce((sum, { rows }) => sum + rows, 0)
    expect({ empty: counts.filter(({ rows }) => rows === 0), total: Math.round(total / 10_000) }).toEqual({ empty: [], total: 30 })
  })

  test('every table that the platform is known to have', async () => {
    expect((await rowCounts(maintainer)).map(({ name }) => name)).toEqual([
      'core.bpm_proc_inst',
      'core.bpm_work_item',
      'core.cases',
      'core.documents',
      'core.event_dead_letter',
      'core.event_outbox',
      'core.llm_call_logs',
      'core.proc_def',
      'core.tenants',
      'core.users',
      'core.watch_alerts',
      'core.watch_rules',
      'vision.causal_edges',
      'vision.causal_graphs',
      'vision.cube_definitions',
      'vision.etl_sync_history',
      'vision.scenario_parameters',
      'vision.scenario_results',
      'vision.what_if_scenarios',
    ])
  })

  test('the outbox has its four states, and rows past the retention of two of them', async () => {
    const { rows } = await maintainer.query(`
      SELECT status, count(*) FILTER (WHERE coalesce(published_at, created_at) < now() - interval '7 days') > 0 AS old
      FROM core.event_outbox GROUP BY status ORDER BY status`)
    expect(rows).toEqual([
      { status: 'DEAD_LETTER', old: true },
      { status: 'FAILED', old: true },
      { status: 'PENDING', old: false },
      { status: 'PUBLISHED', old: true },
    ])
  })

  test('the outbox has the indexes of the platform and no other', async () => {
    const { rows } = await maintainer.query(`
      SELECT replace(indexdef, 'core.', '') AS definition FROM pg_indexes WHERE schemaname = 'core' AND tablename = 'event_outbox' ORDER BY indexname`)
    expect(rows.map(row => row.definition)).toEqual([
      'CREATE UNIQUE INDEX event_outbox_pkey ON event_outbox USING btree (id)',
      "CREATE INDEX ix_outbox_failed ON event_outbox USING btree (created_at) WHERE ((status)::text = 'FAILED'::text)",
      "CREATE INDEX ix_outbox_pending ON event_outbox USING btree (created_at) WHERE ((status)::text = 'PENDING'::text)",
      'CREATE INDEX ix_outbox_tenant ON event_outbox USING btree (tenant_id, created_at)',
    ])
  })

  test('the outbox has the columns of the platform, in their order', async () => {
    const { rows } = await maintainer.query(`
      SELECT attname || ' ' || format_type(atttypid, atttypmod) AS "column" FROM pg_attribute
      WHERE attrelid = 'core.event_outbox'::regclass AND attnum > 0 ORDER BY attnum`)
    expect(rows.map(row => row.column)).toEqual([
      'id character varying',
      'event_type character varying',
      'aggregate_type character varying',
      'aggregate_id character varying',
      'payload jsonb',
      'status character varying',
      'tenant_id character varying',
      'created_at timestamp with time zone',
      'published_at timestamp with time zone',
      'retry_count integer',
      'last_error text',
    ])
  })

  test('the fact reads every dimension, and no dimension reads another view', async () => {
    const { rows } = await maintainer.query(`
      SELECT DISTINCT view.relname || ' < ' || read.relname AS edge
      FROM pg_rewrite
      JOIN pg_class view ON view.oid = ev_class AND view.relkind = 'm'
      JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid AND refclassid = 'pg_class'::regclass
      JOIN pg_class read ON read.oid = refobjid AND read.relkind = 'm' AND read.oid <> view.oid
      ORDER BY 1`)
    expect(rows.map(row => row.edge)).toEqual(
      ['dim_case_type', 'dim_org', 'dim_stk_type', 'dim_time'].map(dim => `mv_business_fact < ${dim}`),
    )
  })

  test('the views can be refreshed concurrently, as a group in one transaction, by the maintainer', async () => {
    const names = ['dim_case_type', 'dim_org', 'dim_time', 'dim_stk_type', 'mv_business_fact']
    const done = await using(sample.url, async client => {
      await client.query('BEGIN')
      for (const name of names) await client.query(`REFRESH MATERIALIZED VIEW CONCURRENTLY vision.${name}`)
      return client.query('COMMIT')
    })
    expect(done.command).toBe('COMMIT')
  })

  test('every case is counted in the fact once', async () => {
    const { rows } = await maintainer.query(
      'SELECT (SELECT sum(cases) FROM vision.mv_business_fact) = (SELECT count(*) FROM core.cases) AS equal',
    )
    expect(rows[0].equal).toBe(true)
  })

  test('the tables of the metadata dump refer to each other alone', async () => {
    const { rows } = await maintainer.query(`
      WITH listed AS (SELECT unnest('{core.tenants,core.users,core.proc_def,core.watch_rules,vision.cube_definitions}'::regclass[]) AS oid)
      SELECT conname FROM pg_constraint
      WHERE contype = 'f' AND conrelid IN (SELECT oid FROM listed) AND confrelid NOT IN (SELECT oid FROM listed)`)
    expect(rows).toEqual([])
  })

  test('two samples of one size have the same rows', async () => {
    const digest = async (database: string) =>
      using((await createSample(server.url, { database, rows: 4_000 })).url, async twin => (await twin.query(casesDigest)).rows[0].digest)
    expect(await digest('twin_a')).toBe(await digest('twin_b'))
  })
})

describe('dead rows', () => {
  test('autovacuum leaves the outbox to pg.vacuum', async () => {
    const { rows } = await maintainer.query(`SELECT reloptions FROM pg_class WHERE oid = 'core.event_outbox'::regclass`)
    expect(rows).toEqual([{ reloptions: ['autovacuum_enabled=false'] }])
  })

  test('the statistics of a small sample count its live rows right', async () => {
    const { url } = await createSample(server.url, { database: 'small', rows: 4_000 })
    const { rows } = await using(url, client =>
      client.query(
        `SELECT n_live_tup = (SELECT count(*) FROM core.event_outbox) AS right FROM pg_stat_user_tables WHERE relid = 'core.event_outbox'::regclass`,
      ),
    )
    expect(rows).toEqual([{ right: true }])
  })

  test('a fifth of the outbox is dead, and the maintainer vacuums it away without a warning', async () => {
    const before = await deadShare(maintainer)
    const notices: string[] = []
    const note = (notice: { message?: string }) => notices.push(notice.message ?? '')
    maintainer.on('notice', note)
    await maintainer.query('VACUUM core.event_outbox')
    maintainer.off('notice', note)
    const after = await until('the vacuum to show', async () => {
      const seen = await deadShare(maintainer)
      return seen.vacuumed ? seen : undefined
    })
    expect({ before: Math.round(before.share * 10) * 10, vacuumed: before.vacuumed, after: after.share, notices }).toEqual({
      before: 20,
      vacuumed: false,
      after: 0,
      notices: [],
    })
  })
})

test('the maintainer is no superuser, bypasses row level security, and is a member of the owner', async () => {
  const { rows } = await maintainer.query(`
    SELECT rolname, rolsuper AS super, rolbypassrls AS bypasses, pg_has_role(oid, 'axiom_owner', 'USAGE') AS owns,
      pg_has_role(oid, 'pg_read_all_data', 'USAGE') AS reads, pg_has_role(oid, 'pg_monitor', 'USAGE') AS monitors
    FROM pg_roles WHERE rolname IN ('axiom_owner', 'core_app', 'dbops_maintainer') ORDER BY rolname`)
  const no = { super: false, bypasses: false, owns: false, reads: false, monitors: false }
  expect(rows).toEqual([
    { ...no, rolname: 'axiom_owner', owns: true },
    { ...no, rolname: 'core_app' },
    { rolname: 'dbops_maintainer', super: false, bypasses: true, owns: true, reads: true, monitors: true },
  ])
})

describe('row level security', () => {
  const guarded = ['bpm_proc_inst', 'bpm_work_item', 'cases', 'event_outbox', 'proc_def', 'users', 'watch_alerts', 'watch_rules']

  test('is enabled on the tables where the platform has it, and forced on none', async () => {
    const { rows } = await maintainer.query(
      'SELECT relname, relforcerowsecurity AS forced FROM pg_class WHERE relrowsecurity ORDER BY relname',
    )
    expect(rows).toEqual(guarded.map(relname => ({ relname, forced: false })))
  })

  test.each(guarded)('%s shows the services one tenant', async table => {
    const tenants = await asTenant(sample, async app => (await app.query(`SELECT DISTINCT tenant_id FROM core.${table}`)).rows)
    expect(tenants).toHaveLength(1)
  })

  test('a service cannot move a row to another tenant', async () => {
    const moved = asTenant(sample, app => app.query(`UPDATE core.cases SET tenant_id = gen_random_uuid()`))
    await expect(moved).rejects.toMatchObject({ code: '42501' })
  })

  test('a service that names no tenant gets an error', async () => {
    const seen = using(sample.appUrl, app => app.query('SELECT FROM core.cases'))
    await expect(seen).rejects.toThrow('unrecognized configuration parameter "app.current_tenant_id"')
  })

  test('the owner and the maintainer see all tenants', async () => {
    const count = async (client: Client) =>
      (await client.query('SELECT count(DISTINCT tenant_id)::int AS tenants FROM core.event_outbox')).rows[0].tenants
    const seen = [await using(sample.ownerUrl, count), await count(maintainer)]
    expect(seen).toEqual([8, 8])
  })
})

describe('a second call', () => {
  test('returns at once, with the same URLs and the same database', async () => {
    const before = await databaseId(maintainer, 'axiom')
    const started = performance.now()
    const again = await createSample(server.url)
    const fast = performance.now() - started < 1_000
    expect({ again, fast, id: await databaseId(maintainer, 'axiom') }).toEqual({ again: sample, fast: true, id: before })
  })

  test('makes the database anew when another number of rows is wanted', async () => {
    await createSample(server.url, { database: 'resized', rows: 2_000 })
    const before = await databaseId(maintainer, 'resized')
    await createSample(server.url, { database: 'resized', rows: 3_000 })
    expect(await databaseId(maintainer, 'resized')).not.toBe(before)
  })

  test('at the same time waits for the first', async () => {
    const [one, two] = await Promise.all([1, 2].map(() => createSample(server.url, { database: 'twice', rows: 2_000 })))
    expect(one).toEqual(two)
  })

  test('repairs what a killed one left', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', builder, server.url], { stdio: 'ignore' })
    await until('a half-made database', () => databaseId(maintainer, 'killed_unfinished'), { every: 5 })
    child.kill('SIGKILL')
    await once(child, 'exit')
    const left = await databaseId(maintainer, 'killed')
    const { url } = await createSample(server.url, { database: 'killed' })
    const complete = (await using(url, rowCounts)).every(({ rows }) => rows > 0)
    expect({ left, complete, unfinished: await databaseId(maintainer, 'killed_unfinished') }).toEqual({ complete: true })
  })
})

describe('what is not the sample', () => {
  test('a database of that name is left alone', async () => {
    await using(server.url, admin => admin.query('CREATE DATABASE precious'))
    await expect(createSample(server.url, { database: 'precious' })).rejects.toMatchObject({
      message: expect.stringContaining('database "precious"'),
      hint: 'Give the sample platform a server of its own, or drop that database.',
    })
  })

  test('a role of that name is left alone', async () => {
    await using(server.url, admin => admin.query('COMMENT ON ROLE core_app IS NULL'))
    const made = createSample(server.url, { database: 'other' })
    await expect(made).rejects.toThrow('role "core_app" exists and is not the sample platform\'s')
    await using(server.url, admin => admin.query(`COMMENT ON ROLE core_app IS 'sample platform of dbops'`))
  })
})

const casesDigest = `SELECT md5(string_agg(concat(id, case_type, org, amount, owner_id), ',' ORDER BY id)) AS digest FROM core.cases`

const builder = `
  import { createSample } from '${new URL('../src/create.ts', import.meta.url).href}'
  await createSample(process.argv[1], { database: 'killed' })`

async function open(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString })
  await client.connect()
  return client
}

async function using<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await open(url)
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Every table with its exact number of rows. */
async function rowCounts(client: Client): Promise<{ name: string; rows: number }[]> {
  const { rows } = await client.query(
    `SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('core', 'vision') ORDER BY 1`,
  )
  const counts = []
  for (const { name } of rows) counts.push({ name, rows: (await client.query(`SELECT count(*)::int AS rows FROM ${name}`)).rows[0].rows })
  return counts
}

async function deadShare(client: Client): Promise<{ share: number; vacuumed: boolean }> {
  const { rows } = await client.query(`
    SELECT n_dead_tup::float8 / (n_live_tup + n_dead_tup) AS share, last_vacuum IS NOT NULL AS vacuumed
    FROM pg_stat_user_tables WHERE relid = 'core.event_outbox'::regclass`)
  return rows[0]
}

const databaseId = async (client: Client, name: string): Promise<number | undefined> =>
  (await client.query('SELECT oid FROM pg_database WHERE datname = $1', [name])).rows[0]?.oid

/** Does the work as core_app for one tenant, in a transaction that ends with the session. */
const asTenant = <T>({ appUrl }: Sample, work: (app: Client) => Promise<T>): Promise<T> =>
  using(appUrl, async app => {
    const tenant = (await maintainer.query('SELECT id FROM core.tenants LIMIT 1')).rows[0].id
    await app.query('BEGIN')
    await app.query(`SELECT set_config('app.current_tenant_id', $1, true)`, [tenant])
    return work(app)
  })
