// What an outage on the way may cost: ledger or Redis that break, go silent or are slow, under a maintainer that has work in hand.
import type { Birth, Run } from '@dbops/ledger/runs'
import { bear, find, historyOf, requestCancel } from '@dbops/ledger/runs'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { type Proxy, startProxy } from '@dbops/testing/proxy'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

let line: Line
let target: Awaited<ReturnType<typeof freshDatabase>>
let db: Client
let ledgerWay: Proxy
let redisWay: Proxy
let maintainer: Process

beforeEach(async () => {
  target = await freshDatabase()
  db = new Client(target.url)
  await db.connect()
  await db.query('CREATE TABLE effects (run uuid, fence bigint, step int, at timestamptz DEFAULT clock_timestamp())')
  await db.query('CREATE TABLE world (open boolean, by bigint)')
  await db.query('INSERT INTO world VALUES (false, 0)')
  line = await startLine(`targets: { core: { engine: pg, url: "\${CORE_URL}", concurrency: { heavy: 8 } } }\n`, { CORE_URL: target.url })
  ledgerWay = await startProxy(line.ledgerUrl)
  redisWay = await startProxy(line.redisUrl)
  await line.start('apps/scheduler/src/main.ts')
  maintainer = await line.start('apps/pg-maintainer/test/line/main.ts', {
    args: ['--concurrency', 'heavy=8'],
    env: { DBOPS_LEDGER_URL: ledgerWay.url, DBOPS_REDIS_URL: redisWay.url },
  })
})
afterEach(async () => {
  await line?.close()
  await ledgerWay?.close()
  await redisWay?.close()
  await db?.end()
  await target?.drop()
})

describe('work that changed the world is put back by its own process', () => {
  const opens = { recovers: true, locks: [{ name: 'window', exclusive: true }] }
  const isOpen = async () => (await db.query('SELECT open FROM world')).rows[0].open as boolean
  const recoveries = async (id: string) => (await line.ledger.query('select 1 from runs where parent = $1', [id])).rows.length

  test('when it is cancelled', async () => {
    const id = await start('open', { pause: 60_000 }, opens)
    await until('the world is open', isOpen)
    await requestCancel(line.ledger, id, 'ada')
    const run = await ended(id)
    expect([run.state, await isOpen(), await recoveries(id)]).toEqual(['cancelled', false, 0])
  })

  test('when its time is over', async () => {
    const id = await start('open', { pause: 60_000 }, { ...opens, attempts: 1, timeoutMs: 1_000 })
    const run = await ended(id)
    expect([run.state, await isOpen(), await recoveries(id)]).toEqual(['timed_out', false, 0])
  })

  test('when it is let go by an orderly stop', async () => {
    const id = await start('open', { pause: 60_000 }, opens)
    await until('the world is open', isOpen)
    const code = await maintainer.stop()
    const run = await find(line.ledger, id)
    expect([code, run[0]!.state, run[0]!.attempt, await isOpen(), await recoveries(id)]).toEqual([0, 'queued', 0, false, 0])
  })
})

test('a claim whose reply is lost costs no attempt', async () => {
  const lost = ledgerWay.loseReplyTo('commit', `nextval('fences')`)
  const id = await start('write', { steps: 1, pause: 1 }, { attempts: 1 })
  await lost.sprung
  const run = await ended(id)
  expect([run.state, run.attempt, await line.events(id)]).toEqual(['succeeded', 1, ['run_succeeded']])
})

test('ledger sessions that break in the middle of everything cost no attempt and no process', async () => {
  const ids = await Promise.all([1, 2, 3].map(i => start('write', { steps: 30, pause: 100 }, { operation: `pg.write:${i}` })))
  await until('they write', async () => (await db.query('SELECT 1 FROM effects')).rows.length)
  for (let i = 0; i < 15; i++) {
    ledgerWay.cut()
    await new Promise(resolve => setTimeout(resolve, 130))
  }
  const runs = await Promise.all(ids.map(id => ended(id)))
  expect([runs.map(run => [run.state, run.attempt]), maintainer.isRunning()]).toEqual([ids.map(() => ['succeeded', 1]), true])
})

test('a ledger that is slow for everything else renews the leases in time', async () => {
  const ids = await Promise.all([1, 2, 3, 4].map(i => start('write', { steps: 60, pause: 100 }, { operation: `pg.write:${i}` })))
  await until('all write', async () => (await db.query('SELECT DISTINCT run FROM effects')).rows.length === 4)
  ledgerWay.delay(150)
  // Both sessions of the pool wait for a lock, as claims do behind a process that sleeps.
  const holder = new Client(line.ledgerUrl)
  await holder.connect()
  await holder.query('BEGIN')
  await holder.query(`SELECT 1 FROM dbops.targets FOR UPDATE`)
  for (let i = 0; i < 4; i++) await start('write', { steps: 1, pause: 1 }, { operation: `pg.more:${i}` })
  let least = Number.POSITIVE_INFINITY
  for (const stop = performance.now() + 6_000; performance.now() < stop; await new Promise(resolve => setTimeout(resolve, 50))) {
    const { rows } = await line.ledger.query<{ left: number }>(
      `select extract(epoch from min(lease_until) - clock_timestamp())::float as left from runs where state = 'running'`,
    )
    least = Math.min(least, rows[0]!.left ?? least)
  }
  await holder.query('ROLLBACK')
  await holder.end()
  const runs = await Promise.all(ids.map(id => ended(id)))
  expect([runs.map(run => [run.state, run.attempt]), least > 1]).toEqual([ids.map(() => ['succeeded', 1]), true])
})

test('a route to the ledger that is lost without a word is found out before the lease is over', { timeout: 90_000 }, async () => {
  const id = await start('write', { steps: 150, pause: 200 }, { timeoutMs: 300_000 })
  await until('it writes', async () => (await db.query('SELECT 1 FROM effects')).rows.length)
  ledgerWay.forget()
  const run = await ended(id, 80_000)
  expect([run.state, (await historyOf(line.ledger, id)).map(row => row.event)]).toEqual([
    'succeeded',
    ['born', 'dispatched', 'claimed', 'succeeded'],
  ])
})

test('an attempt that has its target back before its ledger, long after its lease, does nothing there', { timeout: 60_000 }, async () => {
  const targetWay = await startProxy(target.url)
  try {
    await maintainer.stop()
    const env = { DBOPS_LEDGER_URL: ledgerWay.url, DBOPS_REDIS_URL: redisWay.url, CORE_URL: targetWay.url }
    const lonely = await line.start('apps/pg-maintainer/test/line/main.ts', { env })
    targetWay.freeze()
    const id = await start('write', { steps: 3, pause: 10 })
    await until('it is claimed, and its session does not come about', async () => (await find(line.ledger, id))[0]!.state === 'running')
    ledgerWay.freeze()
    redisWay.freeze()
    maintainer = await line.start('apps/pg-maintainer/test/line/main.ts')
    const run = await ended(id)
    const before = await fencesAtWork()
    targetWay.thaw()
    // Its connection comes about now; it had all the time to write three times.
    await until(
      'it is connected',
      async () => (await db.query(`SELECT FROM pg_stat_activity WHERE application_name LIKE '%:${before[0]! - 1}:%'`)).rowCount,
    )
    await new Promise(resolve => setTimeout(resolve, 1_500))
    const after = await fencesAtWork()
    ledgerWay.thaw()
    redisWay.thaw()
    await until('it was told', () => lonely.lines.some(each => each.includes('attempt_superseded')))
    expect([run.state, run.fence, after, await fencesAtWork()]).toEqual(['succeeded', before[0], before, before])
  } finally {
    await targetWay.close()
  }
})

describe('Redis', () => {
  test.each(['freeze', 'forget', 'cut'] as const)('%s: work is taken again soon after', { timeout: 120_000 }, async how => {
    await ended(await start('write', { steps: 1, pause: 1 }))
    redisWay[how]()
    if (how === 'freeze') await new Promise(resolve => setTimeout(resolve, 20_000))
    redisWay.thaw()
    const began = performance.now()
    const run = await ended(await start('write', { steps: 1, pause: 1 }), 60_000)
    expect([run.state, run.attempt, performance.now() - began < 30_000]).toEqual(['succeeded', 1, true])
  })
})

describe('SIGTERM ends with 0 within ten seconds', () => {
  test.each(['ledger', 'redis', 'both'] as const)('while %s is silent and work is in hand', { timeout: 60_000 }, async which => {
    const scheduler = await line.start('apps/scheduler/src/main.ts', {
      env: { DBOPS_LEDGER_URL: ledgerWay.url, DBOPS_REDIS_URL: redisWay.url },
    })
    await start('write', { steps: 1_000, pause: 100 })
    await until('it writes', async () => (await db.query('SELECT 1 FROM effects')).rows.length)
    if (which !== 'redis') ledgerWay.freeze()
    if (which !== 'ledger') redisWay.freeze()
    await new Promise(resolve => setTimeout(resolve, 1_500))
    const began = performance.now()
    const codes = await Promise.all([maintainer.stop(), scheduler.stop()])
    expect([codes, performance.now() - began < 11_000]).toEqual([[0, 0], true])
  })

  test('while it waits for its ledger at the start', async () => {
    ledgerWay.cut()
    await ledgerWay.close()
    const scheduler = await line.start('apps/scheduler/src/main.ts', { ready: false, env: { DBOPS_LEDGER_URL: ledgerWay.url } })
    await until('it waits', () => scheduler.lines.some(each => each.includes('the ledger does not answer')))
    expect([await scheduler.stop(), scheduler.lines.filter(each => each.includes('service_ended'))]).toEqual([0, []])
  })
})

/** Whose effects the target shows, each once. */
const fencesAtWork = async (): Promise<number[]> =>
  (await db.query<{ fence: string }>('SELECT DISTINCT fence FROM effects ORDER BY 1')).rows.map(({ fence }) => Number(fence))

async function start(task: string, params: Record<string, unknown>, over: Partial<Birth> = {}): Promise<string> {
  const id = uuidv7()
  await bear(line.ledger, {
    id,
    task: `pg.${task}`,
    engine: 'pg',
    lane: 'heavy',
    target: 'core',
    mode: 'do',
    cause: { kind: 'command' },
    actor: 'tester',
    operation: `pg.${task}`,
    locks: [{ name: 'target', exclusive: false }],
    priority: 5,
    notBefore: new Date(0),
    validUntil: new Date(Date.now() + 600_000),
    attempts: 3,
    retry: 'restart',
    backoffMs: 100,
    timeoutMs: 120_000,
    recovers: false,
    ...over,
    spec: { params, entries: {} },
  })
  return id
}
const final = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped'])
const ended = (id: string, within = 30_000): Promise<Run> =>
  until(
    `run ${id} ends; maintainer: ${maintainer.lines.slice(-3).join('\n')}`,
    async () => {
      const [run] = await find(line.ledger, id)
      if (!final.has(run!.state)) throw new Error(JSON.stringify([run!.state, run!.attempt, run!.waitingFor, run!.error]))
      return run
    },
    { within },
  )
