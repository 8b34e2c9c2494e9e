// pg.analyze on real tables: what it does and proves, and how it finds what needs it.
import { afterEach, describe, expect, test } from 'vitest'
import analyze from '../src/tasks/analyze.ts'
import { attempt, counting, type Ground, ground, once } from './harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})
/** Statement by statement: what one transaction changes is counted at its end, after its own ANALYZE. */
const made = async (setup: string) => {
  const one = await ground(`CREATE SCHEMA core`)
  grounds.push(one)
  for (const statement of setup.split(';').filter(text => text.trim())) {
    await one.sql(statement)
    await one.sql(`SELECT pg_stat_force_next_flush()`)
  }
  return one
}

/** Analyzed with 1,000 rows; from 150 changed ones on autovacuum would come, were it not switched off. */
const cases = `
  CREATE TABLE core.cases (id int, note text) WITH (autovacuum_enabled = off);
  INSERT INTO core.cases SELECT n, 'x' FROM generate_series(1, 1000) n;
  ANALYZE core.cases`
const named = (...tables: string[]) => ({ params: { tables } })
const tablesOf = ({ facts }: { facts: Record<string, unknown> }) => facts.tables as { table: string; why: string | null }[]

describe('pg.analyze', () => {
  test('renews the statistics of the named tables, and proves it', async () => {
    const { url } = await made(`${cases}; INSERT INTO core.cases SELECT n, 'y' FROM generate_series(1, 500) n`)
    const { facts, proof } = await once(analyze, url, named('core.cases'))
    expect([facts, proof]).toMatchObject([
      { tables: [{ table: 'core.cases', changedBefore: 500, rowsBefore: 1000, rowsAfter: 1500 }] },
      { ok: true, reason: 'last_analyze moved on 1 of 1 tables' },
    ])
  })

  test('plans with what has changed since the last one', async () => {
    const { url } = await made(`${cases}; UPDATE core.cases SET note = 'y' WHERE id <= 400`)
    const tried = await attempt(analyze, url, named('core.cases'))
    const plan = await analyze.plan!(tried.c)
    await tried.close()
    expect(plan).toMatchObject({
      tables: [{ table: 'core.cases', rows: 1000, changed: 400, autovacuumAt: 150, why: expect.stringMatching(/^400 rows/) as string }],
    })
  })

  test('a role that does not own the table gets the tag of a success, and the run fails with the grant that is missing', async () => {
    const place = await made(cases)
    const role = await place.role()
    await expect(once(analyze, place.as(role), named('core.cases'))).rejects.toMatchObject({
      name: 'Permanent',
      code: 'analyze_skipped',
      message: expect.stringMatching(/skipped core.cases and called it a success: .*cases/) as string,
      hint: 'only the owner may: GRANT postgres to the role of this target',
    })
  })

  test('its proof says no where the server has no record of it', async () => {
    const { url } = await made(cases)
    const tried = await attempt(analyze, url, named('core.cases'))
    const { tables } = (await analyze.run(tried.c)) as { tables: object[] }
    const later = tables.map(one => ({ ...one, startedAt: new Date(Date.now() + 60_000).toISOString() }))
    const proof = await analyze.prove!(tried.c, { tables: later, left: 0 })
    await tried.close()
    expect(proof).toMatchObject({ ok: false, reason: expect.stringContaining('core.cases: last_analyze did not move') as string })
  })

  test('of a partitioned table the whole is analyzed, and its partitions with it', async () => {
    const { url, sql } = await made(`
      CREATE TABLE core.log (id int) PARTITION BY RANGE (id);
      CREATE TABLE core.log_1 PARTITION OF core.log FOR VALUES FROM (0) TO (10);
      INSERT INTO core.log SELECT generate_series(0, 9)`)
    await once(analyze, url, named('core.log'))
    const times = await sql(`SELECT relname, last_analyze IS NOT NULL AS done FROM pg_stat_user_tables ORDER BY relname`)
    expect(times).toEqual([
      { relname: 'log', done: true },
      { relname: 'log_1', done: true },
    ])
  })

  test.each([
    ['core.casses', 'table_missing', 'core.casses is not in the database', 'did you mean "core.cases"?'],
    ['core.recent', 'not_a_table', 'core.recent is a view', 'name a table or a materialized view or a partitioned table'],
  ])('%s is refused before anything is touched', async (table, code, message, hint) => {
    const { url } = await made(`${cases}; CREATE VIEW core.recent AS SELECT 1 AS one`)
    await expect(once(analyze, url, named('core.cases', table))).rejects.toMatchObject({ name: 'Refused', code, message, hint })
  })

  test('one table that somebody has locked keeps no other from being analyzed, and the run is tried again', async () => {
    const place = await made(`${cases}; CREATE TABLE core.tenants (id int); CREATE TABLE core.users (id int)`)
    const holder = await place.client('a migration')
    await holder.query(`BEGIN; LOCK TABLE core.tenants IN ACCESS EXCLUSIVE MODE`)
    await expect(once(analyze, place.url, named('core.tenants', 'core.users'))).rejects.toMatchObject({
      code: '55P03',
      message: expect.stringMatching(
        /^core\.tenants is locked by session \d+ "a migration" of postgres \(idle in transaction\) since \S+: /,
      ) as string,
      hint: expect.stringMatching(/rolls its transaction back.*: SELECT pg_terminate_backend\(\d+\)$/) as string,
    })
    expect(await place.sql(`SELECT last_analyze IS NOT NULL AS done FROM pg_stat_user_tables WHERE relname = 'users'`)).toEqual([
      { done: true },
    ])
  })
})

describe('pg.analyze without a list', () => {
  test('takes what autovacuum would come for, the stalest first, and nothing else', async () => {
    const { url } = await made(`
      ${cases}; UPDATE core.cases SET note = 'y' WHERE id <= 151;
      CREATE TABLE core.calm (id int) WITH (autovacuum_enabled = off); INSERT INTO core.calm SELECT generate_series(1, 1000); ANALYZE core.calm;
      UPDATE core.calm SET id = id WHERE id <= 149;
      CREATE TABLE core.fresh (id int) WITH (autovacuum_enabled = off); INSERT INTO core.fresh SELECT generate_series(1, 20);
      CREATE TABLE core.empty (id int)`)
    const done = tablesOf(await once(analyze, url))
    expect(done).toMatchObject([
      { table: 'core.fresh', why: 'never analyzed, 20 rows' },
      { table: 'core.cases', why: '151 rows changed since the last one; autovacuum comes at 150' },
    ])
  })

  test('minds the storage parameters of a table', async () => {
    const { url } = await made(`
      ${cases}; UPDATE core.cases SET note = 'y' WHERE id <= 60;
      ALTER TABLE core.cases SET (autovacuum_analyze_threshold = 10, autovacuum_analyze_scale_factor = 0.01)`)
    expect(tablesOf(await once(analyze, url))).toMatchObject([{ why: '60 rows changed since the last one; autovacuum comes at 20' }])
  })

  test('a partitioned table that nobody analyzes unasked is found, and its partitions are not listed beside it', async () => {
    const { url } = await made(`
      CREATE TABLE core.log (id int) PARTITION BY RANGE (id);
      CREATE TABLE core.log_1 PARTITION OF core.log FOR VALUES FROM (0) TO (1000);
      CREATE TABLE core.log_2 PARTITION OF core.log FOR VALUES FROM (1000) TO (2000);
      INSERT INTO core.log SELECT generate_series(0, 1999)`)
    const first = await once(analyze, url)
    const second = await once(analyze, url)
    expect([tablesOf(first).map(({ table }) => table), tablesOf(second), second.proof]).toEqual([
      ['core.log'],
      [],
      { ok: true, reason: 'no table needs new statistics', evidence: { left: [] } },
    ])
  })

  test('partitions that have grown since make their whole stale, though they are analyzed themselves', async () => {
    const { url } = await made(`
      CREATE TABLE core.log (id int) PARTITION BY RANGE (id);
      CREATE TABLE core.log_1 PARTITION OF core.log FOR VALUES FROM (0) TO (2000);
      INSERT INTO core.log SELECT generate_series(0, 999);
      ANALYZE core.log;
      INSERT INTO core.log SELECT generate_series(1000, 1499);
      ANALYZE core.log_1`)
    expect(tablesOf(await once(analyze, url))).toMatchObject([{ table: 'core.log', changedBefore: 500 }])
  })

  test('a table that our role may not analyze is a finding with its mend, not a failure', async () => {
    const place = await made(`${cases}; UPDATE core.cases SET note = 'y'`)
    const role = await place.role()
    const tried = await attempt(analyze, place.as(role))
    const facts = await analyze.run(tried.c)
    await tried.close()
    expect([facts, tried.found]).toMatchObject([
      { tables: [] },
      [
        {
          key: 'table core.cases',
          level: 'warning',
          sql: 'ANALYZE "core"."cases"',
          hint: expect.stringContaining('GRANT postgres TO') as string,
        },
      ],
    ])
  })

  test('does not believe an empty answer: its proof looks for itself', async () => {
    const { url } = await made(`${cases}; UPDATE core.cases SET note = 'y'`)
    const tried = await attempt(analyze, url)
    const proof = await analyze.prove!(tried.c, { tables: [], left: 0 })
    await tried.close()
    expect(proof).toMatchObject({ ok: false, reason: 'no table was analyzed, and these need it: core.cases' })
  })

  test('takes five hundred in one run, and says how many are left', async () => {
    const { url, sql } = await made('CREATE TABLE core.first (id int)')
    await sql(`DO $$ BEGIN FOR n IN 1..520 LOOP EXECUTE format('CREATE TABLE core.t%s AS SELECT 1 AS id', n); END LOOP; END $$`)
    await sql(`SELECT pg_stat_force_next_flush()`)
    const { facts, proof } = await once(analyze, url)
    expect([tablesOf({ facts }).length, facts.left, proof.ok]).toEqual([500, 20, true])
  })

  test('plans for thousands of tables in one query', async () => {
    const { url, sql } = await made(`
      CREATE TABLE core.t77 WITH (autovacuum_enabled = off) AS SELECT generate_series(1, 100)`)
    await sql(`DO $$ BEGIN FOR n IN 100..2099 LOOP EXECUTE format('CREATE TABLE core.t%s (id int)', n); END LOOP; END $$`)
    const tried = await attempt(analyze, url)
    const { c, queries } = counting(tried.c)
    const plan = await analyze.plan!(c)
    await tried.close()
    expect([plan, queries.length]).toMatchObject([{ tables: [{ table: 'core.t77' }] }, 1])
  })
})
