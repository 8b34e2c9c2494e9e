// pg.locks on a real server: the edges that there are, no others, and the root that all of them hang on.
import { startPostgres } from '@dbops/servers/postgres'
import { until } from '@dbops/testing/until'
import type { Client } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import type { RootFacts } from '../../src/locks/facts.ts'
import { faultOf } from '../../src/locks/fault.ts'
import { treeOf } from '../../src/locks/tree.ts'
import locks from '../../src/probes/locks.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

interface Locks {
  waiting: number
  roots: { pid: number; state: string; application: string; waiters: number; longestWaitSeconds: number; query: string }[]
  waits: { application: string; blockedBy: number[]; depth: number; roots: number[]; mode: string; on: string; waitSeconds: number }[]
}

// The query that the platform's own document has: who waits for a kind of lock, and whoever holds one of that kind.
const naive = `
  SELECT blocked.application_name || ' < ' || blocking.application_name AS edge
    FROM pg_stat_activity blocked
    JOIN pg_locks bl ON blocked.pid = bl.pid AND NOT bl.granted
    JOIN pg_locks gl ON bl.locktype = gl.locktype
     AND bl.database IS NOT DISTINCT FROM gl.database
     AND bl.relation IS NOT DISTINCT FROM gl.relation
     AND bl.page IS NOT DISTINCT FROM gl.page
     AND bl.tuple IS NOT DISTINCT FROM gl.tuple
     AND gl.granted
    JOIN pg_stat_activity blocking ON gl.pid = blocking.pid
   WHERE blocked.pid <> blocking.pid AND blocked.datname = current_database() AND blocking.datname = current_database()`

describe('four readers, an ALTER behind them, a SELECT behind that, and three writers of one row', () => {
  test('the naive query shows 14 rows, 8 of them false; pg.locks the 7 true edges', async () => {
    const { place, nameOf } = await queue()
    const told = await place.sql<{ edge: string }>(naive)
    const { waits } = await seen(place)
    const edges = waits.flatMap(({ application, blockedBy }) => blockedBy.map(pid => `${application} < ${nameOf(pid)}`))
    const truth = [...[1, 2, 3, 4].map(n => `alter < reader ${n}`), 'select < alter', 'second < first', 'third < second']
    const isTrue = ({ edge }: { edge: string }) => truth.includes(edge)
    expect({ rows: told.length, false: told.filter(row => !isTrue(row)).length, edges: edges.toSorted() }).toEqual({
      rows: 14,
      false: 8,
      edges: truth.toSorted(),
    })
  })

  test('each root is told with its state, its last statement and all that waits behind it', async () => {
    const { place } = await queue()
    const { roots, waiting } = await seen(place)
    expect([waiting, roots.map(({ application, state, waiters }) => `${application} (${state}): ${waiters}`).toSorted()]).toEqual([
      4,
      [
        'first (idle in transaction): 2',
        'reader 1 (idle in transaction): 2',
        'reader 2 (idle in transaction): 2',
        'reader 3 (idle in transaction): 2',
        'reader 4 (idle in transaction): 2',
      ],
    ])
  })

  test('the SELECT stands behind the ALTER, and both say what they wait for', async () => {
    const { place } = await queue()
    const { waits } = await seen(place)
    const of = (name: string) => waits.find(({ application }) => application === name)!
    expect([of('alter'), of('select')]).toMatchObject([
      { depth: 1, mode: 'AccessExclusive', on: 'core.t' },
      { depth: 2, mode: 'AccessShare', on: 'core.t' },
    ])
  })
})

test('the wait is counted from when it began to wait, not from when the statement began', async () => {
  const place = await made('CREATE SCHEMA core; CREATE TABLE core.t (id int); INSERT INTO core.t VALUES (1)')
  const holder = await session(place, 'holder', 'BEGIN; LOCK core.t')
  // pg_sleep before the lock: 600 ms of the statement are no waiting.
  void (await place.client('late')).query(`DO $$ BEGIN PERFORM pg_sleep(0.6); LOCK core.t; END $$`).catch(() => undefined)
  await waits(place, 1)
  const { waits: told } = await seen(place)
  const [{ seconds }] = (await place.sql<{ seconds: number }>(
    `SELECT extract(epoch FROM clock_timestamp() - query_start)::float8 AS seconds FROM pg_stat_activity WHERE application_name = 'late' AND datname = current_database()`,
  )) as [{ seconds: number }]
  await holder.query('ROLLBACK')
  expect(seconds - told[0]!.waitSeconds).toBeGreaterThan(0.5)
})

test('a root that keeps others waiting for more than 30 s is found, with the statement that would end it', async () => {
  const { place, pid } = await blocked()
  const { roots } = (await lookOnce(locks, place.url)).result as { roots: RootFacts[] }
  const [{ at }] = (await place.sql<{ at: Date }>(`SELECT xact_start AS at FROM pg_stat_activity WHERE pid = $1`, [pid])) as [{ at: Date }]
  const found = [30, 31, 301].map(longestWaitSeconds => faultOf({ ...roots[0]!, longestWaitSeconds }, []))
  const root = { key: `root ${pid} ${at.toISOString()}`, sql: `SELECT pg_terminate_backend(${pid})` }
  expect(found).toMatchObject([null, { ...root, level: 'warning' }, { ...root, level: 'error' }])
})

test.runIf(process.env.DBOPS_LONG)('the same after a wait of 31 s', async () => {
  const { place, pid } = await blocked()
  await until('it is found', async () => (await lookOnce(locks, place.url)).faults.length, { within: 45_000, every: 1_000 })
  expect((await lookOnce(locks, place.url)).faults).toMatchObject([{ sql: `SELECT pg_terminate_backend(${pid})` }])
})

test('a prepared transaction, which has no process, is a root too, and found by its name', async () => {
  const server = await startPostgres({ settings: { max_prepared_transactions: '2' } })
  try {
    const place = await made('CREATE SCHEMA core; CREATE TABLE core.t (id int)', {
      url: server.url,
      name: 'postgres',
      drop: () => Promise.resolve(),
    })
    await (await place.client('coordinator')).query(`BEGIN; LOCK core.t; PREPARE TRANSACTION 'it''s forgotten'`)
    void (await place.client('waiter')).query('SELECT FROM core.t').catch(() => undefined)
    await waits(place, 1)
    const { roots } = (await lookOnce(locks, place.url)).result as { roots: RootFacts[] }
    const prepared = [{ gid: `it's forgotten`, role: 'postgres', at: new Date(), seconds: 40 }]
    expect([roots, faultOf({ ...roots[0]!, longestWaitSeconds: 31 }, prepared)]).toMatchObject([
      [{ pid: 0, kind: 'prepared transaction', role: 'postgres', waiters: 1 }],
      { key: 'root prepared', sql: `ROLLBACK PREPARED 'it''s forgotten'` },
    ])
    await grounds.pop()!.drop()
  } finally {
    await server.stop()
  }
})

test('a circle has no root and no depth, and does not go on for ever', () => {
  const { placed, roots } = treeOf([
    { pid: 1, blockers: [2], seconds: 1 },
    { pid: 2, blockers: [1], seconds: 1 },
    { pid: 3, blockers: [1], seconds: 1 },
  ])
  expect([placed.map(({ depth }) => depth), roots]).toEqual([[null, null, null], []])
})

test('nobody waits: nothing is told', async () => {
  const place = await made('CREATE SCHEMA core')
  expect((await lookOnce(locks, place.url)).result).toEqual({ waiting: 0, longestWaitSeconds: null, roots: [], waits: [] })
})

async function made(setup: string, database?: Parameters<typeof ground>[1]): Promise<Ground> {
  const place = await ground(setup, database)
  grounds.push(place)
  return place
}

async function session(place: Ground, name: string, sql: string): Promise<Client> {
  const client = await place.client(name)
  await client.query(sql)
  return client
}

const waits = (place: Ground, n: number) =>
  until(`${n} wait`, async () => {
    const [{ waiting }] = (await place.sql<{ waiting: number }>(
      `SELECT count(DISTINCT pid)::int AS waiting FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND waitstart IS NOT NULL AND datname = current_database()`,
    )) as [{ waiting: number }]
    return waiting === n
  })

/** domain.md 6: four readers in open transactions, an ALTER, a SELECT behind it; a row that three want, and two writers that disturb nobody. */
async function queue() {
  const place = await made(
    'CREATE SCHEMA core; CREATE TABLE core.t (id int); CREATE TABLE core.row (id int); INSERT INTO core.row VALUES (1); CREATE TABLE core.other (id int)',
  )
  const later = async (name: string, sql: string, waiting: number) => {
    void (await place.client(name)).query(sql).catch(() => undefined)
    await waits(place, waiting)
  }
  for (const n of [1, 2, 3, 4]) await session(place, `reader ${n}`, 'BEGIN; SELECT FROM core.t')
  for (const n of [1, 2]) await session(place, `writer ${n}`, 'BEGIN; INSERT INTO core.other VALUES (1)')
  await session(place, 'first', 'BEGIN; UPDATE core.row SET id = 1')
  await later('alter', 'ALTER TABLE core.t ADD COLUMN name text', 1)
  await later('select', 'SELECT FROM core.t', 2)
  await later('second', 'UPDATE core.row SET id = 2', 3)
  await later('third', 'UPDATE core.row SET id = 3', 4)
  const sessions = await place.sql<{ pid: number; name: string }>(
    `SELECT pid, application_name AS name FROM pg_stat_activity WHERE datname = current_database()`,
  )
  const names = new Map(sessions.map(({ pid, name }) => [pid, name]))
  return { place, nameOf: (pid: number) => names.get(pid) }
}

async function blocked() {
  const place = await made('CREATE SCHEMA core; CREATE TABLE core.t (id int)')
  const client = await session(place, 'holder', 'BEGIN; LOCK core.t')
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  void (await place.client('waiter')).query('SELECT FROM core.t').catch(() => undefined)
  await waits(place, 1)
  return { place, pid: rows[0]!.pid }
}

const seen = async (place: Ground) => (await lookOnce(locks, place.url)).result as unknown as Locks
