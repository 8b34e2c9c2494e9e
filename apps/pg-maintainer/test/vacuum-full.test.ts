// pg.vacuum-full on real tables: what it rewrites and how it proves that, and every way in which it must not begin or not succeed.
import { until } from '@dbops/testing/until'
import { afterEach, expect, test } from 'vitest'
import vacuumFull from '../src/tasks/vacuum-full.ts'
import { locked } from '../src/vacuum-full/locked.ts'
import { watched } from '../src/vacuum-full/progress.ts'
import { attempt, carryOut, type Ground, ground, once, targetOf } from './harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

const bloated = `
  CREATE SCHEMA core;
  CREATE TABLE core.outbox (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off);
  INSERT INTO core.outbox SELECT n, repeat('x', 200) FROM generate_series(1, 5000) n;
  ANALYZE core.outbox;
  DELETE FROM core.outbox WHERE id > 500;
  SELECT pg_stat_force_next_flush();`
const made = async (setup = bloated) => {
  const one = await ground(setup)
  grounds.push(one)
  // It copies what transactions of the whole server may have to see, and other tests have theirs.
  const [{ mark }] = (await one.sql<{ mark: string }>(`SELECT pg_current_xact_id()::text AS mark`)) as [{ mark: string }]
  await until(
    'no transaction is older than the dead rows',
    async () => (await one.sql(`SELECT WHERE pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8`, [mark])).length,
    { within: 30_000 },
  )
  return one
}
const outbox = { params: { tables: ['core.outbox'] } }
interface Facts {
  tables: { table: string; tries: number; bytesBefore: number; bytesAfter: number; deadBefore: number }[]
}
interface Plan {
  decides: { tables: object[] }
  tables: Record<string, unknown>[]
  forecast: { seconds: number }
  disk: { freeBytes: number | null }
}
const planned = async (url: string, given: Parameters<typeof attempt>[2] = outbox): Promise<Plan> => {
  const tried = await attempt(vacuumFull, url, given)
  try {
    return (await vacuumFull.plan!(tried.c)) as Plan
  } finally {
    await tried.close()
  }
}

test('rewrites the table without its dead rows and free space, and proves it', async () => {
  const { url, sql } = await made()
  const { facts, proof } = await once(vacuumFull, url, outbox)
  const [one] = (facts as unknown as Facts).tables
  const [analyzed] = await sql<{ yes: boolean }>(`SELECT last_analyze IS NOT NULL AS yes FROM pg_stat_user_tables WHERE relname = 'outbox'`)
  expect([one!.deadBefore, one!.tries, one!.bytesAfter < one!.bytesBefore / 5, proof.ok, analyzed]).toEqual([
    4500,
    1,
    true,
    true,
    { yes: true },
  ])
})

test('the plan says what an approver decides on, and the figures beside it', async () => {
  const { url } =
    await made(`${bloated} CREATE VIEW core.recent AS SELECT id FROM core.outbox; CREATE TABLE core.notes (outbox int REFERENCES core.outbox);
    ANALYZE core.outbox;`)
  const plan = await planned(url)
  expect([plan.decides, plan.tables, plan.forecast]).toMatchObject([
    { tables: [{ table: 'core.outbox', owner: 'postgres', size: 'at most 64 MiB' }] },
    [{ table: 'core.outbox', live: 500, alsoWait: ['core.notes', 'core.recent'], lockedNowBy: [] }],
    { seconds: 11 },
  ])
})

test('the size that it expects is near the size that comes about', async () => {
  const { url } = await made(`${bloated} ANALYZE core.outbox;`)
  const [expected] = (await planned(url)).tables as [{ bytesAfter: number }]
  const { facts } = await once(vacuumFull, url, outbox)
  expect(Math.abs(Math.log2(expected.bytesAfter / (facts as unknown as Facts).tables[0]!.bytesAfter))).toBeLessThan(0.5)
})

test('what is decided on stays the same when rows come and go, and when the table was rewritten in an earlier attempt', async () => {
  const { url, sql } = await made()
  const first = await planned(url)
  await sql(`INSERT INTO core.outbox SELECT n, 'y' FROM generate_series(10000, 12000) n`)
  const tried = await attempt(vacuumFull, url, outbox)
  const facts = await vacuumFull.run(tried.c)
  const again = (await vacuumFull.plan!({ ...tried.c, state: { done: facts['tables'] } })) as Plan
  await tried.close()
  expect([again.decides, again.tables]).toEqual([first.decides, []])
})

test('a table that is done is not rewritten again when the run goes on', async () => {
  const { url, sql } = await made()
  const tried = await attempt(vacuumFull, url, outbox)
  const first = await vacuumFull.run(tried.c)
  const node = await sql(`SELECT pg_relation_filenode('core.outbox')`)
  const second = await vacuumFull.run({ ...tried.c, state: { done: first['tables'] } })
  await tried.close()
  expect([second, await sql(`SELECT pg_relation_filenode('core.outbox')`)]).toEqual([first, node])
})

test('its proof says no where the file of the table is the one from before', async () => {
  const { url } = await made()
  const tried = await attempt(vacuumFull, url, outbox)
  const facts = (await vacuumFull.run(tried.c)) as unknown as { tables: { filenodeBefore: number; oid: number }[] }
  const [{ node }] = (await tried.c.pg.query<{ node: number }>(`SELECT pg_relation_filenode('core.outbox'::regclass) AS node`)) as [
    { node: number },
  ]
  const proof = await vacuumFull.prove!(tried.c, { tables: facts.tables.map(one => ({ ...one, filenodeBefore: node })) })
  await tried.close()
  expect(proof).toMatchObject({ ok: false, reason: `core.outbox: its rows are in the same file as before (${node})` })
})

test('an old snapshot has its dead rows copied: the verdict names the session that holds it', async () => {
  const place = await made()
  const holder = await place.client('nightly report')
  await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1')
  await place.sql(`DELETE FROM core.outbox WHERE id <= 400; SELECT pg_stat_force_next_flush()`)
  const { proof } = await once(vacuumFull, place.url, outbox)
  expect(proof).toMatchObject({
    ok: false,
    reason: expect.stringMatching(/rewritten with \d+ dead rows in it: the horizon was held by session \d+ "nightly report"/) as string,
  })
})

test('a role that does not own the table is refused before anything, with the grant that is missing', async () => {
  const place = await made()
  const role = await place.role()
  await expect(once(vacuumFull, place.as(role), outbox)).rejects.toMatchObject({
    name: 'Refused',
    code: 'not_owner',
    hint: 'GRANT postgres to the role of this target',
  })
})

test.each([
  ['a table that is named twice', ['core.outbox', 'core.outbox'], 'named_twice'],
  ['a catalog', ['pg_catalog.pg_class'], 'system_table'],
  ['a partitioned table', ['core.log'], 'not_a_table'],
  ['a table that is not there', ['core.outbux'], 'table_missing'],
])('%s is refused before a table is touched', async (_, tables, code) => {
  const { url, sql } = await made(`${bloated} CREATE TABLE core.log (id int) PARTITION BY RANGE (id);`)
  const before = await sql(`SELECT pg_relation_filenode('core.outbox')`)
  await expect(once(vacuumFull, url, { params: { tables: ['core.outbox', ...tables] } })).rejects.toMatchObject({ name: 'Refused', code })
  expect(await sql(`SELECT pg_relation_filenode('core.outbox')`)).toEqual(before)
})

test('a disk that has no room for the second copy refuses it', async () => {
  const { url } = await made()
  const tried = await attempt(vacuumFull, url, outbox)
  const target = { ...tried.c.target, config: { ...targetOf(url).config, disk: '1MiB' } }
  const plan = vacuumFull.plan!({ ...tried.c, target })
  await expect(plan).rejects.toMatchObject({
    name: 'Refused',
    code: 'no_room',
    message: expect.stringMatching(/^the disk has 0 B left/) as string,
  })
  await tried.close()
})

test('where nobody says how large the disk is, the file system of a server on this machine does', async () => {
  const { url } = await made()
  expect((await planned(url)).disk).toMatchObject({ freeBytes: expect.any(Number) as number, reason: null })
})

test('a lock that is not to be had is asked for briefly and several times, and then the run comes again later', async () => {
  const place = await made()
  const reader = await place.client('a long report')
  await reader.query('BEGIN; SELECT count(*) FROM core.outbox')
  const tried = await attempt(vacuumFull, place.url, outbox)
  const [{ oid }] = (await place.sql<{ oid: number }>(`SELECT 'core.outbox'::regclass::oid AS oid`)) as [{ oid: number }]
  const told: string[] = []
  const vain = locked(tried.c.pg, { oid, table: 'core.outbox' }, () => tried.c.pg.execute('VACUUM (FULL) core.outbox'), {
    signal: tried.abort.signal,
    paused: [10, 10],
    told: (tries, holder) => told.push(`${tries} ${holder}`),
  })
  await expect(vain).rejects.toMatchObject({
    name: 'Later',
    code: 'lock_not_had',
    message: expect.stringMatching(
      /not to be had in 3 tries of 500ms: session \d+ "a long report" of postgres \(idle in transaction\)/,
    ) as string,
  })
  await tried.close()
  expect(told).toHaveLength(3)
})

test('a lock that comes free between two tries is had', async () => {
  const place = await made()
  const reader = await place.client('a short report')
  await reader.query('BEGIN; SELECT count(*) FROM core.outbox')
  const tried = await attempt(vacuumFull, place.url, outbox)
  const running = carryOut(vacuumFull, tried)
  await until('it waits for the lock', async () => {
    const rows = await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, [tried.name])
    return rows.length > 0
  })
  await until('it has given up once', async () => {
    const rows = await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, [tried.name])
    return rows.length === 0
  })
  await reader.query('COMMIT')
  const { facts, proof } = await running
  await tried.close()
  expect([(facts as unknown as Facts).tables[0]!.tries, proof.ok]).toEqual([2, true])
})

test('shows how far it is', async () => {
  const place = await made(`
    CREATE SCHEMA core; CREATE TABLE core.outbox (id int, note text);
    INSERT INTO core.outbox SELECT n, repeat('x', 300) FROM generate_series(1, 100000) n;
    CREATE INDEX ON core.outbox (note, id);`)
  const tried = await attempt(vacuumFull, place.url, outbox)
  const [{ oid }] = (await place.sql<{ oid: number }>(`SELECT 'core.outbox'::regclass::oid AS oid`)) as [{ oid: number }]
  const seen: [number, number, string][] = []
  const tell = (...now: [number, number, string]) => void seen.push(now)
  await watched(tried.c.pg, oid, tell, () => tried.c.pg.execute('VACUUM (FULL) core.outbox'), 5)
  await tried.close()
  expect(seen.find(([scanned, total]) => scanned <= total && total > 0)).toEqual([
    expect.any(Number),
    expect.any(Number),
    expect.stringMatching(/^\w+/),
  ])
})

test('when the permission ends the server ends the statement by itself too', async () => {
  const place = await made()
  const tried = await attempt(vacuumFull, place.url, outbox)
  await vacuumFull.run({ ...tried.c, run: { ...tried.c.run, permittedUntil: new Date(Date.now() + 60_000) } })
  const [{ ms }] = (await tried.c.pg.query<{ ms: number }>(
    `SELECT setting::int AS ms FROM pg_settings WHERE name = 'statement_timeout'`,
  )) as [{ ms: number }]
  await tried.close()
  expect([ms > 55_000, ms <= 65_000]).toEqual([true, true])
})

test('a cancelled one stops on the server, and the table is as it was', async () => {
  const place = await made()
  const reader = await place.client('a long report')
  await reader.query('BEGIN; SELECT count(*) FROM core.outbox')
  const before = await place.sql(`SELECT pg_relation_filenode('core.outbox')`)
  const tried = await attempt(vacuumFull, place.url, outbox)
  const running = carryOut(vacuumFull, tried)
  running.catch(() => undefined)
  await until(
    'it waits',
    async () =>
      (await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, [tried.name])).length,
  )
  tried.abort.abort(new Error('cancelled'))
  await expect(running).rejects.toThrow()
  await tried.close()
  expect([
    await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1`, [tried.name]),
    await place.sql(`SELECT pg_relation_filenode('core.outbox')`),
  ]).toEqual([[], before])
})
