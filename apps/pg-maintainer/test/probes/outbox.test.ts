// pg.outbox on a real server: what the configuration names is counted by status, bounded, and with a reason where it cannot be.
import { type Purge, purge } from '@dbops/contract/config-file'
import { afterEach, expect, test } from 'vitest'
import outbox from '../../src/probes/outbox.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

const table = `
  CREATE SCHEMA core;
  CREATE TABLE core.events (id int, status varchar, created_at timestamptz NOT NULL DEFAULT now());
  CREATE INDEX ON core.events (created_at) WHERE status = 'PENDING';`
const fill = (status: string, n: number, age = '0 s') =>
  `INSERT INTO core.events SELECT n, '${status}', now() - interval '${age}' FROM generate_series(1, ${n}) n;`

test('pending, failed and given up are counted, and the oldest that waits has its age', async () => {
  const place = await made(
    table + fill('PENDING', 12, '90 s') + fill('FAILED', 3) + fill('DEAD_LETTER', 2) + fill('PUBLISHED', 50, '9 days'),
  )
  const { result, faults } = await look(place)
  expect([result, faults]).toMatchObject([
    { tables: [{ table: 'core.events', pending: 12, failed: 3, deadLetters: 2, atLeast: false, reason: null }], reason: null },
    [],
  ])
  expect((result.tables as { oldestPendingSeconds: number }[])[0]!.oldestPendingSeconds).toBeCloseTo(90, -1)
})

test('more than a hundred thousand are not counted to the end', async () => {
  const { result } = await look(await made(table + fill('PENDING', 100_010)))
  expect(result.tables).toMatchObject([{ pending: 100_000, atLeast: true }])
})

test('what no index leads to is not looked for in a large table, and the index is proposed; it then is found', async () => {
  // What costs is pages: 26,000 of them, with one row each.
  const place = await made(`
    CREATE SCHEMA core; CREATE TABLE core.events (id int, status varchar, created_at timestamptz NOT NULL DEFAULT now(), payload text) WITH (fillfactor = 10);
    INSERT INTO core.events SELECT n, 'PUBLISHED', now(), repeat('x', 700) FROM generate_series(1, 26000) n; INSERT INTO core.events VALUES (1, 'PENDING'); ANALYZE core.events;
    CREATE INDEX ON core.events (created_at) WHERE status = 'FAILED'; CREATE INDEX ON core.events (created_at) WHERE status = 'DEAD_LETTER'`)
  const before = await look(place)
  await place.sql(before.faults[0]!.sql!)
  const after = await look(place)
  expect([before.result.tables, before.faults.map(({ key }) => key), after.result.tables, after.faults]).toMatchObject([
    [{ pending: null, failed: 0, deadLetters: 0, withoutIndex: ['PENDING'] }],
    ['index core.events PENDING'],
    [{ pending: 1, withoutIndex: [] }],
    [],
  ])
})

test('nothing that waits has no age, and says so', async () => {
  const { result } = await look(await made(table))
  expect(result.tables).toMatchObject([{ pending: 0, oldestPendingSeconds: null, reason: 'nothing waits' }])
})

test('without a purge that names an outbox there is none', async () => {
  const { result } = await look(await made(table), { 'llm-logs': plan({ event: undefined }) })
  expect(result).toEqual({ tables: [], reason: expect.stringContaining('outbox_cleanup_completed') as string })
})

test('two purges of one table count it once', async () => {
  const { result } = await look(await made(table), { published: plan({}), failed: plan({ where: `status = 'FAILED'` }) })
  expect((result.tables as unknown[]).length).toBe(1)
})

test('rows that row level security hides are a reason and no number', async () => {
  const place = await made(
    `${table}${fill('PENDING', 5)} ALTER TABLE core.events ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON core.events USING (false)`,
  )
  const role = await place.role('GRANT SELECT ON core.events TO %')
  const { result } = await lookOnce(outbox, place.as(role), { entries: { purges: { published: plan({}) } } })
  expect(result.tables).toMatchObject([{ pending: null, failed: null, reason: expect.stringContaining('row-level security') as string }])
})

test('a table that is not there, or may not be read, is a reason', async () => {
  const place = await made('CREATE SCHEMA core')
  expect((await look(place)).result.tables).toMatchObject([
    { table: 'core.events', pending: null, reason: 'the table: core.events is not in the database' },
  ])
})

test('a table without a status is no outbox', async () => {
  const { result } = await look(await made('CREATE SCHEMA core; CREATE TABLE core.events (id int)'))
  expect(result.tables).toEqual([])
})

async function made(setup: string): Promise<Ground> {
  const place = await ground(setup)
  grounds.push(place)
  return place
}

const plan = (more: Record<string, unknown>): Purge =>
  purge.parse({ target: 'core', table: 'core.events', by: 'created_at', age: '7d', event: 'outbox_cleanup_completed', ...more })
const look = (place: Ground, purges: Record<string, Purge> = { published: plan({}) }) =>
  lookOnce(outbox, place.url, { entries: { purges } })
