// pg.long-statements on a real server: who is shown, who is found, and who is not meant.
import { until } from '@dbops/testing/until'
import { afterEach, expect, test } from 'vitest'
import { idleTransaction, longStatement } from '../../src/activity/faults.ts'
import { longActivity } from '../../src/activity/long.ts'
import longStatements from '../../src/probes/long-statements.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

/** The probe's own query with other times: nobody waits a minute here. */
const now = (place: Ground) => longActivity({ query: place.sql, execute: () => Promise.resolve([]) }, { active: 0, idle: 0 })

test('a statement at work and a transaction that stands idle are told apart', async () => {
  const place = await made()
  await busy(place, 'report', 'SELECT pg_sleep(60)')
  const idle = await place.client('forgotten')
  await idle.query('BEGIN')
  await idle.query('SELECT 1')
  const { sessions } = await now(place)
  expect(
    sessions
      .map(({ application, state }) => `${application}: ${state}`)
      .filter(who => !who.startsWith('the test'))
      .toSorted(),
  ).toEqual(['forgotten: idle in transaction', 'report: active'])
})

test('sessions of this system, of other databases and those that only rest are not meant', async () => {
  const place = await made()
  await busy(place, 'dbops:beef0001:7:pg.dump', 'SELECT pg_sleep(60)')
  await place.client('resting')
  await (await place.client('elsewhere', 'postgres')).query('BEGIN')
  expect((await now(place)).sessions.map(({ application }) => application)).toEqual(['the test'])
})

test('a statement that mentions pg_stat_activity is somebody’s statement like any other', async () => {
  const place = await made()
  await busy(place, 'monitor', 'SELECT pg_sleep(60), count(*) FROM pg_stat_activity')
  expect((await now(place)).sessions.map(({ application }) => application)).toContain('monitor')
})

test('below 5 s nothing is shown', async () => {
  const place = await made()
  await busy(place, 'report', 'SELECT pg_sleep(60)')
  const { result, faults } = await lookOnce(longStatements, place.url)
  expect([result.statements, faults]).toEqual([{ total: 0, longestSeconds: null, list: [] }, []])
})

test.runIf(process.env.DBOPS_LONG)('from 5 s on a statement is shown, without the values that it asks for', async () => {
  const place = await made()
  await busy(place, 'report', `SELECT pg_sleep(60), 'kim@example'`)
  const look = async () => (await lookOnce(longStatements, place.url)).result.statements as { total: number; list: unknown[] }
  await until('it is shown', async () => (await look()).total, { every: 500 })
  expect((await look()).list).toMatchObject([{ application: 'report', query: 'SELECT pg_sleep(?), ?' }])
})

test('a statement of more than five minutes and ten idle ones are findings, each of its own', () => {
  const session = {
    pid: 7,
    role: 'core_app',
    application: 'core-api',
    state: 'active',
    seconds: 301,
    transactionSeconds: 700,
    since: new Date('2026-11-25T03:00:00Z'),
    waits: null,
    query: `UPDATE core.users SET email = 'kim@example'`,
  }
  const found = [
    longStatement({ ...session, seconds: 300 }),
    longStatement(session),
    idleTransaction({ ...session, state: 'idle in transaction', seconds: 600 }),
    idleTransaction({ ...session, state: 'idle in transaction', seconds: 601 }),
  ]
  expect(found.map(fault => fault && [fault.key, fault.sql, fault.what.includes('kim@example')])).toEqual([
    null,
    ['statement 7 2026-11-25T03:00:00.000Z', 'SELECT pg_cancel_backend(7)', false],
    null,
    ['transaction 7 2026-11-25T03:00:00.000Z', 'SELECT pg_terminate_backend(7)', false],
  ])
})

test('sessions that a plain role cannot judge are counted, with the reason', async () => {
  const place = await made()
  await busy(place, 'report', 'SELECT pg_sleep(60)')
  const { result } = await lookOnce(longStatements, place.as(await place.role()))
  expect([result.hidden, result.reason]).toEqual([expect.any(Number) as number, expect.stringContaining('pg_monitor') as string])
})

async function made(): Promise<Ground> {
  const place = await ground('CREATE SCHEMA core')
  grounds.push(place)
  return place
}

async function busy(place: Ground, name: string, sql: string): Promise<void> {
  void (await place.client(name)).query(sql).catch(() => undefined)
  await until(
    `${name} is at work`,
    async () =>
      (
        await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND datname = current_database()`, [
          name,
        ])
      ).length,
  )
}
