// A whole installation at a tenth of its timers: its servers go away, its processes are told to stop at the worst moments and restarted one after the other. Nothing is lost by it.
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from '@dbops/ledger/commands'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { type Installation, startInstallation } from '@dbops/testing/chaos/installation'
import { everyReady } from '@dbops/testing/chaos/run-chaos'
import { until } from '@dbops/testing/until'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let at: Installation
let ledger: Ledger
beforeAll(async () => {
  at = await startInstallation({ say: () => undefined })
  ledger = await openLedger({ url: at.ledgerUrl, name: 'test', sessions: 2 })
  await ready()
}, 90_000)
afterAll(async () => {
  await ledger?.close()
  await at?.[Symbol.asyncDispose]()
})

const ready = () => until('every service is ready', () => everyReady(ledger), { within: 60_000, every: 100 })
const moment = async () => (await ledger.query<{ now: Date }>('select clock_timestamp() as now')).rows[0]!.now
const count = async (sql: string, values: unknown[]) => (await ledger.query<{ n: number }>(sql, values)).rows[0]!.n
const lostSince = (since: Date) => count(`select count(*)::int as n from history where event = 'lost' and at >= $1`, [since])
const stateOf = async (run: string) =>
  (await ledger.query<{ state: string; attempt: number }>('select state, attempt from runs where id = $1', [run])).rows[0]!
const wish = async () => {
  const answer = await ask<{ run: string }>(
    ledger,
    { verb: 'run', body: { task: 'pg.analyze', target: 'core', params: { tables: ['chaos.b'] } }, actor: 'test' },
    20_000,
  )
  if (!answer.ok) throw new Error(answer.error.message)
  return answer.run
}
const maintainers = () => at.processes.filter(({ app }) => app === 'pg-maintainer')

test('every service restarted, one after the other, under traffic: no run fails, no attempt is burnt, no slot and no event is missed', {
  timeout: 240_000,
}, async () => {
  await ready()
  const since = await moment()
  const wishes: string[] = []
  for (let round = 0; round < (process.env['DBOPS_LONG'] ? 3 : 1); round++)
    for (const each of at.processes) {
      wishes.push(await wish())
      await each.restart()
      await ready()
    }
  const last = await moment()
  await until(
    'what was wished for is done',
    async () => (await Promise.all(wishes.map(stateOf))).every(({ state }) => state === 'succeeded'),
    { within: 60_000 },
  )
  const bad = await ledger.query(
    `select task, state, error ->> 'code' as code from runs where queued_at >= $1 and (state in ('failed', 'timed_out') or (state = 'skipped' and error ->> 'code' <> 'overlap'))`,
    [since],
  )
  const burnt = await count(`select count(*)::int as n from runs where queued_at >= $1 and attempt > 1`, [since])
  await until(
    'all told events are in the stream',
    async () => (await count('select count(*)::int as n from outbox where ord is null and created_at < $1', [last])) === 0,
  )
  // What a reader had in hand as it was told to stop is taken over after a minute.
  await until(
    'all that was delivered is acknowledged, but for what comes just now',
    async () => {
      const groups = (await at.redisClient.xinfo('GROUPS', 'dbops:events')) as unknown[][]
      return groups.every(group => Number(group[group.indexOf('pending') + 1]) < 5)
    },
    { within: 90_000 },
  )
  expect([bad.rows, burnt, await lostSince(since)]).toEqual([[], 0, 0])
})

test('a ledger that is stopped for longer than a lease under a running dump costs no attempt, and the dump ends well', {
  timeout: 60_000,
}, async () => {
  const since = await moment()
  const running = await until(
    'a dump is at work',
    async () => (await ledger.query<{ id: string }>(`select id from runs where task = 'pg.dump' and state = 'running'`)).rows[0],
    { within: 30_000, every: 10 },
  )
  // The dump stands still meanwhile, so that it is at work when the ledger is back.
  for (const each of maintainers()) each.proxy('target')!.freeze()
  await at.ledger.stop('fast')
  await sleep(4_500)
  await at.ledger.start()
  for (const each of maintainers()) each.proxy('target')!.thaw()
  const run = await until(
    'it has ended',
    async () => {
      const found = await stateOf(running.id)
      return found.state === 'running' ? undefined : found
    },
    { within: 30_000 },
  )
  expect([run, await lostSince(since)]).toEqual([{ state: 'succeeded', attempt: 1 }, 0])
})

describe('an operations Redis that was away for longer than a lease', () => {
  test.each([
    ['its own', 'orderly'],
    ['none', 'killed'],
    ['older', 'killed'],
  ] as const)('and comes back with %s file (%s): what waits begins within 15 s', { timeout: 60_000 }, async (file, how) => {
    await ready()
    await at.redis.keep()
    await at.redis.stop(how)
    const run = await wish()
    await sleep(4_500)
    await at.redis.start(file)
    await until('it has succeeded', async () => (await stateOf(run)).state === 'succeeded', { within: 15_000 })
    expect((await stateOf(run)).attempt).toBe(1)
  })

  test('that is frozen and goes on: what waits begins within 15 s', { timeout: 60_000 }, async () => {
    await ready()
    for (const each of at.processes) each.proxy('redis')!.freeze()
    const run = await wish()
    await sleep(4_500)
    for (const each of at.processes) each.proxy('redis')!.thaw()
    await until('it has succeeded', async () => (await stateOf(run)).state === 'succeeded', { within: 15_000 })
    expect((await stateOf(run)).attempt).toBe(1)
  })
})

describe('every service, told to stop, has ended within its ten seconds', () => {
  const frozen = (server: 'ledger' | 'redis') => ({
    begin: () => at.processes.forEach(each => each.proxy(server)!.freeze()),
    end: () => at.processes.forEach(each => each.proxy(server)!.thaw()),
  })
  const moments: [string, { begin: () => unknown; end: () => unknown }][] = [
    ['at work', { begin: () => undefined, end: () => undefined }],
    ['with Redis stopped', { begin: () => at.redis.stop('orderly'), end: () => at.redis.start('its own') }],
    ['with Redis frozen', frozen('redis')],
    ['with the ledger stopped', { begin: () => at.ledger.stop('fast'), end: () => at.ledger.start() }],
    ['with the ledger frozen', frozen('ledger')],
  ]
  test.each(moments)('%s', { timeout: 90_000 }, async (_, { begin, end }) => {
    await ready()
    const ends = at.processes.map(each => each.ends.length)
    await begin()
    await sleep(1_000)
    const took = await Promise.all(at.processes.map(each => each.restart()))
    await end()
    const how = at.processes.map((each, i) => each.ends[ends[i]!])
    expect([took.filter(ms => ms === null || ms > 10_500), how]).toEqual([[], at.processes.map(() => 'exit code 0')])
  })
})
