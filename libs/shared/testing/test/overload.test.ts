// Too much at once, on the real line at a tenth of its timers: it slows down, says so, drops nothing, and goes on by itself when that is over. The full sizes are those of bench/overload.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { ask } from '@dbops/ledger/commands'
import { createDatabase, dropDatabase } from '@dbops/servers/postgres'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { type Proxy, startProxy } from '@dbops/testing/proxy'
import { manyEvents, manyRuns } from '@dbops/testing/too-much'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'

const stream = 'dbops:events'
const day = 86_400_000
const queued = 1_200
const behind = 12_000
const asleep = 2_345

let line: Line
let redis: Redis
let ledgerProxy: Proxy
let target: string
const processes: Process[] = []
let memory: number[]
beforeAll(async () => {
  target = await createDatabase(inject('pgUrl'), 'overload_target')
  const db = new Client(target)
  await db.connect()
  await db.query('create table t (id int primary key)')
  await db.end()
  line = await startLine(`
environment: test
targets: { core: { engine: pg, url: "${target}", concurrency: { heavy: 16, light: 16 } } }
streams: { groups: { sleeper: { maxLag: 8d } } }
alerts:
  channels: { desk: { type: console } }
  routes: [{ to: [desk] }]
`)
  redis = new Redis(line.redisUrl)
  ledgerProxy = await startProxy(line.ledgerUrl)
  const env = { DBOPS_LEDGER_URL: ledgerProxy.url, DBOPS_LOG_LEVEL: 'info' }
  // Told long ago and never read: `sleeper` has slept past its promise for some of it.
  await redis.xgroup('CREATE', stream, 'sleeper', '0', 'MKSTREAM')
  for (let n = 0; n < asleep; n++) void redis.xadd(stream, `${Date.now() - 9 * day + n}-0`, 'ce', foreign)
  processes.push(
    await line.start('apps/scheduler/src/main.ts', { env }),
    await line.start('apps/pg-maintainer/src/main.ts', { env, args: ['--concurrency', 'heavy=16'] }),
    await line.start('apps/alert-relay/src/main.ts', { env }),
  )
  memory = processes.map(rss)
}, 120_000)
afterAll(async () => {
  redis?.disconnect()
  await line?.close()
  await ledgerProxy?.close()
  await dropDatabase(inject('pgUrl'), 'overload_target')
})

test('what a reader loses that slept past its maxLag is told with its number, before it goes', {
  timeout: 120_000,
}, async () => {
  // The first trim may come before our own readers have passed the old entries by, and waits for them; the next comes a minute later.
  const { data } = await until('the loss is told', () => told('redis_stream_data_loss', 'stream:sleeper'), { within: 90_000 })
  const alert = await until('it is an alert', () => firing('redis_stream_data_loss'))
  expect([data['evidence'], alert]).toMatchObject([{ lost: asleep, group: 'sleeper' }, 1])
})

test('a thousand queued runs: said while they wait; each ends well at its first attempt, or at its deadline, and that is told for each', {
  timeout: 240_000,
}, async () => {
  const first = await wish()
  await line.ledger.query(manyRuns(`now() + case when n <= 900 then interval '20 s' else interval '1 h' end`), [first, queued])
  await begun('queue pg-heavy')
  const [status, doctor] = [await cli('status', '--json'), await cli('doctor')]
  expect([JSON.parse(status).overloads?.[0]?.what ?? JSON.parse(status)[0]?.overloads?.[0]?.what, doctor]).toEqual([
    expect.stringMatching(/^\d+ runs wait for pg-heavy, the oldest for /),
    expect.stringMatching(/overload +warning +\d+ runs wait for pg-heavy/),
  ])
  await until('all have ended', async () => (await unfinished()) === 0, { within: 200_000, every: 500 })
  await over('queue pg-heavy')
  const ends = await one<{ all: number; well: number; late: number; told: number }>(endings)
  expect(ends).toEqual({ all: queued + 1, well: queued + 1 - ends!.late, late: ends!.told, told: expect.any(Number) })
})

test('events by the thousand: a reader that sleeps is said to be behind, and all of them are in the stream', {
  timeout: 120_000,
}, async () => {
  const before = await redis.xlen(stream)
  await line.ledger.query(manyEvents, [behind])
  await begun('reader sleeper')
  await until('all are in the stream', async () => (await redis.xlen(stream)) >= before + behind && (await due()) === 0, {
    within: 90_000,
    every: 250,
  })
  const { rows } = await line.ledger.query<{ n: number }>(
    `select count(*)::int as n from outbox where event = 'run_cancelled' and ord is not null`,
  )
  expect(rows).toEqual([{ n: behind }])
})

test('a full Redis hinders every service in words, an alert is told past it, and all goes on when there is room', {
  timeout: 120_000,
}, async () => {
  await redis.config('SET', 'maxmemory', '1mb')
  await until('every service says so', async () => (await reasons()).filter(why => /operations Redis is full/.test(why)).length >= 3, {
    within: 30_000,
  })
  const run = await wish()
  await until('it is an alert, though no event goes out', () => firing('overload_began', 'overload:redis'), { within: 60_000 })
  const [doctor] = [await cli('doctor')]
  await redis.config('SET', 'maxmemory', '0')
  await until('the run that was asked for meanwhile has ended', async () => (await stateOf(run)) === 'succeeded', { within: 30_000 })
  await over('redis')
  expect([doctor, await due()]).toEqual([expect.stringContaining('the operations Redis is full'), expect.any(Number)])
})

test('a ledger that takes 200 ms more for each answer: runs end at their first attempt, and it is said', { timeout: 120_000 }, async () => {
  ledgerProxy.delay(100)
  await begun('ledger')
  const run = await wish()
  await until('a run ends', async () => (await stateOf(run)) === 'succeeded', { within: 60_000 })
  ledgerProxy.delay(0)
  await over('ledger')
  const { rows } = await line.ledger.query('select attempt, losses from runs where id = $1', [run])
  expect(rows).toEqual([{ attempt: 1, losses: 0 }])
})

test('the memory of no process has grown with what waited', () => {
  const grown = processes.map((each, i) => rss(each) / memory[i]!)
  // Room for what V8 has not let go yet; the rows that waited would be several times as much.
  expect(grown.every(ratio => ratio < 2)).toBe(true)
})

// Of a version that nobody here knows: our own readers pass it by.
const foreign = JSON.stringify({
  specversion: '1.0',
  id: '01900000-0000-7000-8000-000000000001',
  source: '/dbops/other',
  type: 'io.axiom.dbops.of_tomorrow.v1',
  subject: 'other',
  time: '2026-01-01T00:00:00.000Z',
  datacontenttype: 'application/json',
  severity: 'info',
  environment: 'test',
  operation: 'other',
  data: {},
})
const rss = ({ pid }: Process) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
const main = join(resolve(import.meta.dirname, '../../../..'), 'apps/cli/src/main.ts')
const cli = async (...argv: string[]): Promise<string> => {
  const env = { ...process.env, ...line.env, NO_COLOR: '1' }
  const given = promisify(execFile)(process.execPath, [main, ...argv, '--config', line.configFile], { env })
  return (await given.catch((error: { stdout: string }) => error)).stdout
}
async function wish(): Promise<string> {
  const answer = await ask<{ run: string }>(
    line.ledger,
    { verb: 'run', body: { task: 'pg.analyze', target: 'core', params: { tables: ['public.t'] } }, actor: 'test' },
    20_000,
  )
  if (!answer.ok) throw new Error(answer.error.message)
  return answer.run
}
const one = async <T extends object>(sql: string, values: unknown[] = []) => (await line.ledger.query<T>(sql, values)).rows[0]
const told = async (event: string, operation: string) => {
  const found = await one<{ ce: { data: Record<string, unknown> } }>(`select ce from outbox where event = $1 and ce ->> 'operation' = $2`, [
    event,
    operation,
  ])
  return found?.ce
}
const begun = (key: string) => until(`overload of ${key} is told`, () => told('overload_began', `overload:${key}`), { within: 60_000 })
const over = (key: string) => until(`the end of ${key} is told`, () => told('overload_ended', `overload:${key}`), { within: 60_000 })
const firing = async (name: string, operation?: string) =>
  (
    await one<{ n: number }>(
      `select count(*)::int as n from episodes e join alerts a using (fingerprint) where a.name = $1 and ($2::text is null or a.operation = $2) and e.state = 'firing'`,
      [name, operation ?? null],
    )
  )?.n
const unfinished = async () => (await one<{ n: number }>(`select count(*)::int as n from runs where state in ('queued', 'running')`))!.n
const stateOf = async (run: string) => (await one<{ state: string }>('select state from runs where id = $1', [run]))?.state
const due = async () => (await one<{ n: number }>('select count(*)::int as n from outbox where ord is null'))!.n
const reasons = async () =>
  (await line.ledger.query<{ why: string }>('select jsonb_array_elements_text(reasons) as why from services')).rows.map(({ why }) => why)
const endings = `
  select count(*)::int as all, (count(*) filter (where state = 'succeeded' and attempt = 1))::int as well, (count(*) filter (where state = 'timed_out'))::int as late,
         (select count(distinct ce ->> 'runid')::int from outbox where event = 'analyze_failed') as told
  from runs`
