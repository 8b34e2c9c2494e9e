// pg.pools on a real server: a pool is counted by its sessions, found when it overflows or is empty, and never mixed up with another.
import { type Pool, pool as poolShape } from '@dbops/contract/config-file'
import { afterEach, expect, test } from 'vitest'
import { belongsTo } from '../../src/pools/sessions.ts'
import pools from '../../src/probes/pools.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

test('active, overflow and checked out are the sessions that match, and bear the names of the platform', async () => {
  const place = await made()
  const names = ['core-api', 'core-worker', 'core-api', 'vision', 'dbops:beef0001:1:pg.dump', 'score']
  const [first] = await Promise.all(names.map(name => place.client(name)))
  await first!.query('BEGIN')
  const { result } = await look(place, { core: plan(place, { size: 2, overflow: 5 }) })
  const shown = Object.entries(pools.compat(result)).map(([name, values]) => [name, values])
  const labels = { pool: 'core' }
  expect(shown).toEqual([
    ['core_db_pool_size', [{ labels, value: 2 }]],
    ['core_db_pool_active_connections', [{ labels, value: 3 }]],
    ['core_db_pool_overflow', [{ labels, value: 1 }]],
    ['core_db_pool_checkedout', [{ labels, value: 1 }]],
  ])
})

test('size and overflow are those of all processes', async () => {
  const place = await made()
  await Promise.all([1, 2, 3].map(() => place.client('core')))
  const { result, faults } = await look(place, { core: plan(place, { size: 1, overflow: 1, processes: 3 }) })
  expect([result.pools, faults]).toMatchObject([[{ size: 3, limit: 6, overflow: 0 }], []])
})

test.each([
  [2, []],
  [3, ['warning overflow core: db_pool_overflow, db_pool_recovered']],
  [4, ['warning overflow core: db_pool_overflow, db_pool_recovered', 'error exhausted core: db_pool_exhausted, db_pool_recovered']],
])('of a pool of 2 + 2, %i connections are found as %j', async (connections, expected) => {
  const place = await made()
  await Promise.all(Array.from({ length: connections }, () => place.client('core')))
  const { faults } = await look(place, { core: plan(place, { size: 2, overflow: 2 }) })
  expect(faults.map(({ level, key, tells }) => `${level} ${key}: ${tells?.opened}, ${tells?.gone}`)).toEqual(expected)
})

test('a pool that keeps its size at rest and has no overflow is exhausted only when all of it is in use', async () => {
  const place = await made()
  const clients = await Promise.all([1, 2].map(() => place.client('core')))
  const plans = { core: plan(place, { size: 2 }) }
  const atRest = (await look(place, plans)).faults
  for (const client of clients) await client.query('BEGIN')
  const inUse = (await look(place, plans)).faults
  expect([atRest, inUse.map(({ key }) => key)]).toEqual([[], ['exhausted core']])
})

test.each([
  [30, ['overflow core']],
  [61, []],
])('what was seen %i seconds ago and is not there now: %j', async (seconds, expected) => {
  const place = await made()
  const plans = { core: plan(place, { size: 2 }) }
  const { result } = await look(place, plans)
  const [pool] = result.pools as object[]
  const before = { ...pool, overflowAt: new Date(Date.now() - seconds * 1_000).toISOString() }
  const last = { at: new Date(), result: { ...result, pools: [before] } }
  const { faults } = await lookOnce(pools, place.url, { entries: { pools: plans }, last })
  expect(faults.map(({ key }) => key)).toEqual(expected)
})

test('a plan of more connections than the server has is found, with the sum', async () => {
  const place = await made()
  const { faults } = await look(place, { core: plan(place, { size: 200 }), vision: plan(place, { size: 20, overflow: 80 }) })
  expect(faults).toMatchObject([{ key: 'plan', what: 'the pools may open 300 connections, and the server has 297: core 200, vision 100' }])
})

test('a role that sees no states counts sessions, and says why it knows no more', async () => {
  const place = await made()
  await place.client('core')
  const { result } = await lookOnce(pools, place.as(await place.role()), { entries: { pools: { core: plan(place, { size: 2 }) } } })
  expect(result.pools).toMatchObject([{ active: 1, checkedout: null, reason: expect.stringContaining('pg_monitor') as string }])
})

test.each([
  ['core*', 'core-api', true],
  ['core*', 'score', false],
  ['*api', 'core-api', true],
  ['c.re', 'core', false],
  ['a+(b)[c]^$|\\', 'a+(b)[c]^$|\\', true],
  ['core', 'core\ncore', false],
  ['*', '', true],
])('%j takes %j: %s', (application_name, name, expected) => {
  const group = { application_name: name, user: 'u', database: 'd', sessions: 1, checkedout: 0, oldest: 0, oldestUse: 0 }
  expect(belongsTo({ application_name }, group)).toBe(expected)
})

async function made(): Promise<Ground> {
  const place = await ground('CREATE SCHEMA core')
  grounds.push(place)
  return place
}

/** Also by its database, as other tests have sessions on the same server. */
const plan = (place: Ground, more: Record<string, unknown>): Pool =>
  poolShape.parse({ target: 'core', match: { application_name: 'core*', database: place.name }, ...more })
const look = (place: Ground, plans: Record<string, Pool>) => lookOnce(pools, place.url, { entries: { pools: plans } })
