// pg.vacuum without a list, on real tables: what it takes for needing it, in which order, and what it leaves alone.
import { afterEach, describe, expect, test } from 'vitest'
import vacuum from '../src/tasks/vacuum.ts'
import { byUrgency, freezeShare, needs, type Wear } from '../src/vacuum/need.ts'
import { attempt, counting, type Ground, ground, once } from './harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})
/** Statement by statement: what one transaction changes is counted at its end. */
const made = async (setup: string) => {
  const one = await ground(`CREATE SCHEMA core`)
  grounds.push(one)
  for (const statement of setup.split(';').filter(text => text.trim())) {
    await one.sql(statement)
    await one.sql(`SELECT pg_stat_force_next_flush()`)
  }
  return one
}
const tablesOf = (facts: Record<string, unknown>) => facts.tables as { table: string; why: string[]; ageBefore: number; ageAfter: number }[]

/** 1,000 rows, analyzed; from 250 dead ones on autovacuum would come, were it not switched off. */
const thousand = (name: string, options = '') => `
  CREATE TABLE core.${name} (id int) WITH (autovacuum_enabled = off${options});
  INSERT INTO core.${name} SELECT generate_series(1, 1000);
  VACUUM (ANALYZE) core.${name};`

describe('pg.vacuum without a list', () => {
  test('takes what autovacuum would come for, the most urgent first, and nothing else', async () => {
    const { url } = await made(`
      ${thousand('worn')} DELETE FROM core.worn WHERE id <= 251;
      ${thousand('calm')} DELETE FROM core.calm WHERE id <= 249;
      ${thousand('grown')} INSERT INTO core.grown SELECT generate_series(1, 1201);
      ${thousand('strict', ', autovacuum_vacuum_threshold = 10, autovacuum_vacuum_scale_factor = 0.01')} DELETE FROM core.strict WHERE id <= 60`)
    const { facts, proof } = await once(vacuum, url)
    expect([tablesOf(facts).map(({ table, why }) => [table, ...why]), proof.ok]).toEqual([
      [
        ['core.strict', '60 dead rows; autovacuum comes at 20'],
        ['core.worn', '251 dead rows; autovacuum comes at 250'],
        ['core.grown', '1201 new rows since the last vacuum; autovacuum comes at 1200'],
      ],
      true,
    ])
  })

  test('a second one finds nothing, and proves that by looking again', async () => {
    const { url } = await made(`${thousand('worn')} DELETE FROM core.worn WHERE id <= 500`)
    await once(vacuum, url)
    const { facts, proof } = await once(vacuum, url)
    expect([facts, proof]).toEqual([
      { tables: [], analyzed: [], left: 0 },
      { ok: true, reason: 'no table needs a vacuum', evidence: { left: [] } },
    ])
  })

  test('does not believe an empty answer', async () => {
    const { url } = await made(`${thousand('worn')} DELETE FROM core.worn WHERE id <= 500`)
    const tried = await attempt(vacuum, url)
    const proof = await vacuum.prove!(tried.c, { tables: [], analyzed: [], left: 0 })
    await tried.close()
    expect(proof).toMatchObject({ ok: false, reason: 'no table was vacuumed, and these need it: core.worn' })
  })

  test('a table that gets old is frozen before autovacuum must, and before all others', async () => {
    const { url, sql } = await made(`
      ${thousand('old', ', autovacuum_freeze_max_age = 100000')}
      ${thousand('worn')} DELETE FROM core.worn WHERE id <= 900`)
    await burn(sql, 80_000)
    const { facts, proof } = await once(vacuum, url)
    const [old, worn] = tablesOf(facts)
    expect([old, old!.ageAfter < 75_000, worn!.table, proof.ok]).toMatchObject([
      { table: 'core.old', why: [/^its oldest row is 8\d{4} transactions old; at 100000 autovacuum comes at any hour$/].map(matching) },
      true,
      'core.worn',
      true,
    ])
  })

  test('a table that stays old is no success: whoever holds the horizon is named', async () => {
    const place = await made(thousand('old', ', autovacuum_freeze_max_age = 100000'))
    const holder = await place.client('nightly report')
    await holder.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`)
    await burn(place.sql, 80_000)
    const { proof } = await once(vacuum, place.url)
    expect(proof).toMatchObject({
      ok: false,
      reason: matching(/core.old: its oldest row is still \d+ transactions old: the horizon is held by session \d+ "nightly report"/),
    })
  })

  test('a table that our role may not vacuum is a finding with its mend, not a failure', async () => {
    const place = await made(`
      ${thousand('theirs')} DELETE FROM core.theirs WHERE id <= 500;
      ${thousand('ours')} DELETE FROM core.ours WHERE id <= 500`)
    const role = await place.role(`ALTER TABLE core.ours OWNER TO %`)
    const tried = await attempt(vacuum, place.as(role))
    const facts = await vacuum.run(tried.c)
    await tried.close()
    expect([tablesOf(facts).map(({ table }) => table), tried.found]).toMatchObject([
      ['core.ours'],
      [
        {
          key: 'table core.theirs',
          level: 'warning',
          what: 'core.theirs needs a vacuum and our role may not: 500 dead rows; autovacuum comes at 250',
          hint: matching(/GRANT postgres TO/),
          sql: 'VACUUM (ANALYZE) "core"."theirs"',
        },
      ],
    ])
  })

  test('a table that a migration has locked keeps no other from being vacuumed, and the run is tried again', async () => {
    const place = await made(`
      ${thousand('locked')} DELETE FROM core.locked WHERE id <= 900;
      ${thousand('worn')} DELETE FROM core.worn WHERE id <= 500`)
    const holder = await place.client('a migration')
    await holder.query(`BEGIN; LOCK TABLE core.locked IN ACCESS EXCLUSIVE MODE`)
    await expect(once(vacuum, place.url)).rejects.toMatchObject({
      code: '55P03',
      message: expect.stringMatching(
        /^core\.locked is locked by session \d+ "a migration" of postgres \(idle in transaction\) since \S+: /,
      ) as string,
      hint: expect.stringMatching(/rolls its transaction back.*: SELECT pg_terminate_backend\(\d+\)$/) as string,
    })
    expect(await place.sql(`SELECT n_dead_tup::int AS dead FROM pg_stat_user_tables WHERE relname = 'worn'`)).toEqual([{ dead: 0 }])
  })

  test('plans for thousands of tables in one query, and for a list with partitions in three', async () => {
    const { url, sql } = await made(`
      ${thousand('worn')} DELETE FROM core.worn WHERE id <= 500;
      CREATE TABLE core.log (id int) PARTITION BY LIST (id);
      CREATE TABLE core.audit (id int) PARTITION BY LIST (id)`)
    await sql(`DO $$ BEGIN FOR n IN 1..1000 LOOP
      EXECUTE format('CREATE TABLE core.log_%s PARTITION OF core.log FOR VALUES IN (%s)', n, n);
      EXECUTE format('CREATE TABLE core.audit_%s PARTITION OF core.audit FOR VALUES IN (%s)', n, n);
    END LOOP; END $$`)
    const tried = await attempt(vacuum, url)
    const [all, listed] = [counting(tried.c), counting({ ...tried.c, params: { tables: ['core.log', 'core.audit'], analyze: true } })]
    const plans = [await vacuum.plan!(all.c), await vacuum.plan!(listed.c)] as { tables: object[] }[]
    await tried.close()
    expect([plans.map(({ tables }) => tables.length), all.queries.length, listed.queries.length]).toEqual([[1, 2000], 1, 3])
  })
})

describe('what needs a vacuum', () => {
  const calm: Wear = {
    dead: 0,
    threshold: 50,
    inserted: 0,
    insertThreshold: 1000,
    age: 0,
    freezeMax: 200e6,
    mxidAge: 0,
    mxidFreezeMax: 400e6,
  }
  test.each<[string, Partial<Wear>, number]>([
    ['nothing, where nothing has happened', {}, 0],
    ['at its number of dead rows, not yet', { dead: 50 }, 0],
    ['past it', { dead: 51 }, 1],
    ['new rows do not count where that is switched off', { inserted: 5000, insertThreshold: null }, 0],
    ['an age of three quarters, not yet', { age: freezeShare * 200e6 }, 0],
    ['past three quarters', { age: freezeShare * 200e6 + 1 }, 1],
    ['multixacts get old too', { mxidAge: 301e6 }, 1],
    ['several at once', { dead: 51, inserted: 1001, age: 160e6 }, 3],
  ])('%s', (_, wear, reasons) => {
    expect(needs({ ...calm, ...wear })).toHaveLength(reasons)
  })

  test('what gets old goes before what is worn, and the most worn before the rest', () => {
    const tables = {
      worn: { ...calm, dead: 500 },
      old: { ...calm, age: 151e6 },
      older: { ...calm, age: 199e6 },
      most: { ...calm, dead: 5000 },
    }
    const order = Object.entries(tables).toSorted(([, a], [, b]) => byUrgency(a, b))
    expect(order.map(([name]) => name)).toEqual(['older', 'old', 'most', 'worn'])
  })
})

/** Lets `n` transactions pass: each block has one of its own as soon as it writes. */
const burn = (sql: Ground['sql'], n: number) =>
  sql(`
    CREATE TABLE core.ash ();
    DO $$ BEGIN FOR n IN 1..${n} LOOP BEGIN INSERT INTO core.ash DEFAULT VALUES; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
    DROP TABLE core.ash`)

const matching = (pattern: RegExp) => expect.stringMatching(pattern) as string
