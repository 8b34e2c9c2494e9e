// pg.tables on a real server: numbers as the server keeps them, and faults that count only when they last.
import { dump, purge } from '@dbops/contract/config-file'
import { until } from '@dbops/testing/until'
import { afterEach, describe, expect, test } from 'vitest'
import { hasLasted, seenSince } from '../../src/lasting.ts'
import tables from '../../src/probes/tables.ts'
import { holderFault } from '../../src/tables/faults.ts'
import { type Ground, ground, type Looked, lookOnce } from '../harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

interface Row {
  table: string
  live: number
  dead: number
  lastVacuum: string | null
  lastAnalyze: string | null
}
const rowOf = ({ result }: Looked, table: string) => (result.tables as Row[]).find(row => row.table === table)!

describe('dead rows', () => {
  const dying = (dead: number) => `
    CREATE SCHEMA core; CREATE TABLE core.outbox (id int) WITH (autovacuum_enabled = false);
    INSERT INTO core.outbox SELECT generate_series(1, ${dead + 10}); DELETE FROM core.outbox WHERE id <= ${dead};`

  test('are counted, and shown under the name that others use', async () => {
    const place = await made(dying(1_000))
    await counted(place, 'core.outbox', 1_000)
    const { result } = await lookOnce(tables, place.url)
    expect(tables.compat(result).pg_stat_user_tables_n_dead_tup).toEqual([
      { labels: { schemaname: 'core', relname: 'outbox' }, value: 1_000 },
    ])
  })

  test('of more than 100,000 are a finding when they have lasted half an hour, not before, and anew after a vacuum', async () => {
    const place = await made(dying(100_001))
    await counted(place, 'core.outbox', 100_001)
    const first = await lookOnce(tables, place.url)
    const since = (minutes: number) => ({ 'dead core.outbox': new Date(Date.now() - minutes * 60_000).toISOString() })
    const again = (minutes: number) =>
      lookOnce(tables, place.url, { last: { at: new Date(), result: { ...first.result, since: since(minutes) } } })
    const [short, long] = [await again(29), await again(31)]
    await place.sql('VACUUM core.outbox')
    await counted(place, 'core.outbox', 0)
    const after = await again(31)
    const deadOf = ({ faults }: Looked) => faults.filter(({ key }) => key.startsWith('dead')).map(({ key, sql }) => `${key}: ${sql}`)
    expect([first, short, long, after].map(deadOf)).toEqual([[], [], ['dead core.outbox: VACUUM (ANALYZE) "core"."outbox"'], []])
    expect(after.result.since).toEqual({})
  })
})

test('what was vacuumed and analyzed has the time of it', async () => {
  const place = await made('CREATE SCHEMA core; CREATE TABLE core.t (id int); INSERT INTO core.t VALUES (1)')
  await place.sql('VACUUM (ANALYZE) core.t')
  const row = rowOf(await lookOnce(tables, place.url), 'core.t')
  expect([row.lastVacuum, row.lastAnalyze].map(at => Math.abs(Date.now() - Date.parse(at!)) < 10_000)).toEqual([true, true])
})

test('autovacuum that is switched off for a table is a finding at once', async () => {
  const place = await made('CREATE SCHEMA core; CREATE TABLE core.t (id int) WITH (autovacuum_enabled = off); CREATE TABLE core.u (id int)')
  const { faults } = await lookOnce(tables, place.url)
  expect(faults).toMatchObject([{ key: 'autovacuum off core.t', sql: 'ALTER TABLE "core"."t" RESET (autovacuum_enabled)' }])
})

test('a large table that was never analyzed is a finding, once autovacuum has had its time', async () => {
  const place = await made(
    'CREATE SCHEMA core; CREATE TABLE core.t (id int) WITH (autovacuum_enabled = off); INSERT INTO core.t SELECT generate_series(1, 2000)',
  )
  const { result } = await lookOnce(tables, place.url)
  const since = { 'unanalyzed core.t': new Date(Date.now() - 11 * 60_000).toISOString() }
  const { faults } = await lookOnce(tables, place.url, { last: { at: new Date(), result: { ...result, since } } })
  expect(faults.find(({ key }) => key === 'unanalyzed core.t')).toMatchObject({ sql: 'ANALYZE "core"."t"' })
})

test('a table that only the configuration knows is a finding with the entries that name it', async () => {
  const place = await made('CREATE SCHEMA core; CREATE TABLE core.t (id int)')
  const purges = { old: purge.parse({ target: 'core', table: 'core.gone', by: 'at', age: '7d' }) }
  const dumps = { metadata: dump.parse({ target: 'core', data: ['core.t', 'core.gone'], stores: ['main'] }) }
  const { faults } = await lookOnce(tables, place.url, { entries: { purges, dumps } })
  expect(faults).toMatchObject([
    { key: 'missing core.gone', what: 'core.gone is not in the database; named by purges.old, dumps.metadata' },
  ])
})

test('named tables are shown however many worse ones there are', async () => {
  const others = Array.from(
    { length: 60 },
    (_, n) => `CREATE TABLE core.t${n} (id int); INSERT INTO core.t${n} VALUES (1); DELETE FROM core.t${n};`,
  )
  const place = await made(`CREATE SCHEMA core; CREATE TABLE core.quiet (id int); ${others.join('')}`)
  await counted(place, 'core.t59', 1)
  const dumps = { metadata: dump.parse({ target: 'core', data: ['core.quiet'], stores: ['main'] }) }
  const looked = await lookOnce(tables, place.url, { entries: { dumps } })
  expect([(looked.result.tables as Row[]).length, rowOf(looked, 'core.quiet').table, looked.result.total]).toMatchObject([
    51,
    'core.quiet',
    { tables: 61 },
  ])
})

test('who holds the horizon is named', async () => {
  const place = await made('CREATE SCHEMA core; CREATE TABLE core.t (id int)')
  const holder = await place.client('forgotten')
  await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await holder.query('SELECT FROM core.t')
  const { result } = await lookOnce(tables, place.url)
  expect(result.horizon).toMatchObject([{ kind: 'session', who: expect.stringContaining('"forgotten"') as string }])
})

test.each([
  ['prepared', 9, 1, 'prepared', false],
  ['prepared', 11, 1, 'prepared', true],
  ['session', 59, 1, 'idle in transaction', false],
  ['session', 61, 1, 'idle in transaction', true],
  ['slot', 0, 100_001, 'in use', false],
  ['slot', 0, 100_001, 'read by nobody', true],
  ['standby', 600, 1_000, 'active', false],
] as const)('a %s of %i minutes and %i transactions (%s): found %s', (kind, minutes, age, state, found) => {
  const now = new Date()
  const holder = {
    kind,
    name: 'x',
    pid: 7,
    role: null,
    database: null,
    since: new Date(now.getTime() - minutes * 60_000),
    state,
    age,
    behind: 0,
    waitsFor: null,
  }
  expect(holderFault(holder, now) !== null).toBe(found)
})

test('a fault begins anew when it was away', () => {
  const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute))
  const first = seenSince(undefined, ['a', 'b'], at(0))
  const second = seenSince(first, ['a'], at(10))
  const third = seenSince(second, ['a', 'b'], at(30))
  expect(['a', 'b'].map(key => hasLasted(third, key, 30 * 60_000, at(30)))).toEqual([true, false])
})

/** What a session did is counted up to ten seconds later, unless it asks for less. */
async function made(setup: string): Promise<Ground> {
  const place = await ground(`${setup}; SELECT pg_stat_force_next_flush()`)
  grounds.push(place)
  return place
}

const counted = (place: Ground, table: string, dead: number) =>
  until(`${dead} dead rows of ${table} are counted`, async () => {
    const [row] = await place.sql<{ dead: number }>(
      `SELECT n_dead_tup::int AS dead FROM pg_stat_user_tables WHERE schemaname || '.' || relname = $1`,
      [table],
    )
    return row?.dead === dead
  })
