// The relay as it is deployed: a process under plain node, between a real Redis, a real ledger and a receiver.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { listAlerts } from '@dbops/ledger/alerts'
import { publish } from '@dbops/ledger/outbox'
import { type Answer, type Sink, startSink } from '@dbops/sample/sink'
import { startRedis } from '@dbops/servers/redis'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Bench, event, openBench, type Said } from './relay-bench.ts'

const folder = mkdtempSync(join(tmpdir(), 'relay-'))
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const secret = 'shared-by-both'
let redisServer: Awaited<ReturnType<typeof startRedis>>
let redis: Redis
let bench: Bench
let sink: Sink
let answer: (n: number) => Answer | Promise<Answer>
const relays: Relay[] = []

beforeAll(async () => {
  redisServer = await startRedis({ settings: { maxmemoryPolicy: 'noeviction' } })
  redis = new Redis(redisServer.url)
  bench = await openBench()
})
afterAll(async () => {
  await bench.close()
  redis.disconnect()
  await redisServer.stop()
  rmSync(folder, { recursive: true })
})
beforeEach(async () => {
  answer = () => ({ status: 204 })
  await bench.reset()
  sink = await startSink({ secret, answer: n => answer(n) })
  await redis.del('dbops:events')
})
afterEach(async () => {
  await Promise.all(relays.splice(0).map(relay => relay.kill()))
  await sink.stop()
})

test('an event on the stream becomes one signed notification and one line; its success, the resolution', async () => {
  const relay = await start()
  await tell({ at: '05:00' })
  await until('the alarm', () => sink.received.length === 1)
  await tell({ at: '05:01' })
  await tell({ at: '05:02', event: 'backup_completed', operation: 'pg.dump:other' })
  await tell({ at: '05:03', event: 'backup_completed' })
  await until('the all-clear', () => sink.received.length === 2 && relay.notifications().length === 2)
  // The receiver has it before the ledger knows that it has.
  await until('both are written down as delivered', async () =>
    (await listAlerts(bench.ledger, { limit: 1 }))[0]!.deliveries.every(({ state }) => state === 'delivered'),
  )
  expect([
    sink.received.map(({ verified, body }) => [verified, JSON.parse(body).alert.state]),
    relay.notifications().map(line => [line.level, line.state]),
    (await listAlerts(bench.ledger, { limit: 10 })).map(alert => [alert.state, alert.deliveries.map(d => `${d.channel} ${d.state}`)]),
  ]).toEqual([
    [
      [true, 'firing'],
      [true, 'resolved'],
    ],
    [
      ['critical', 'firing'],
      ['info', 'resolved'],
    ],
    [['resolved', ['log delivered', 'ops delivered', 'log delivered', 'ops delivered']]],
  ])
})

test('an event that is delivered twice by the stream is told once', async () => {
  await start()
  const twice = event({ at: '05:00' })
  for (const ce of [twice, twice]) await redis.xadd('dbops:events', '*', 'ce', JSON.stringify(ce))
  await tell({ at: '05:01', operation: 'pg.dump:later' })
  await until('the later one', () => sink.received.some(({ body }) => body.includes('pg.dump:later')))
  expect(sink.received.length).toBe(2)
})

test('while Redis is full what has waited in the ledger for half a minute is told from there, and not once more by the stream', async () => {
  await start()
  await redis.config('SET', 'maxmemory', '1mb')
  const held = event({ at: '05:00' })
  await publish(bench.ledger, [held])
  await bench.ledger.query(`update outbox set created_at = now() - interval '31 seconds'`)
  await until('the alarm', () => sink.received.length === 1)
  await redis.config('SET', 'maxmemory', '0')
  await redis.xadd('dbops:events', '*', 'ce', JSON.stringify(held))
  await tell({ at: '05:01', operation: 'pg.dump:later' })
  await until('the later one', () => sink.received.some(({ body }) => body.includes('pg.dump:later')), { within: 20_000 })
  expect(sink.received.length).toBe(2)
})

test('a relay that is killed in the middle of a send: the next sends the same key', async () => {
  let letGo: () => void = () => undefined
  answer = n => (n === 1 ? new Promise(resolve => (letGo = () => resolve({ status: 204 }))) : { status: 204 })
  const first = await start()
  await tell({ at: '05:00' })
  await until('the send', () => sink.received.length === 1)
  await first.kill('SIGKILL')
  letGo()
  await start()
  // The hold of a dead sender lasts a minute; the ledger's clock is not ours to move, the row is.
  await bench.ledger.query(`update deliveries set next_at = now() where status = 'pending'`)
  await until('the second send', () => sink.received.length === 2)
  expect(sink.received[1]!.key).toBe(sink.received[0]!.key)
})

test('it counts what it did, for Prometheus', async () => {
  const relay = await start()
  await tell({ at: '05:00' })
  const lines = await until(
    'the gauge',
    async () => {
      const text = await (await fetch(`${relay.address}/metrics`)).text()
      const found = text.split('\n').filter(line => /^dbops_(alerts_firing|notifications_total|alert_decisions_total)/.test(line))
      return found.some(line => /dbops_alerts_firing\{.*critical.*\} 1$/.test(line)) ? found : undefined
    },
    { within: 15_000 },
  )
  expect(lines.map(line => line.replace(/,?app="alert-relay"/, '')).toSorted()).toEqual([
    'dbops_alert_decisions_total{reason="first"} 2',
    'dbops_alerts_firing{severity="critical"} 1',
    'dbops_alerts_firing{severity="error"} 0',
    'dbops_alerts_firing{severity="info"} 0',
    'dbops_alerts_firing{severity="warning"} 0',
    'dbops_notifications_total{channel="log",outcome="delivered"} 1',
    'dbops_notifications_total{channel="ops",outcome="delivered"} 1',
  ])
})

test('it ends in order, with 0', async () => {
  const relay = await start()
  expect(await relay.kill('SIGTERM')).toBe(0)
})

const tell = (said: Said) => redis.xadd('dbops:events', '*', 'ce', JSON.stringify(event(said)))

interface Relay {
  address: string
  notifications(): Record<string, unknown>[]
  /** Resolves with the exit code when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<number | null>
}

async function start(): Promise<Relay> {
  const file = join(folder, 'config.yaml')
  const channels = { log: { type: 'console' }, ops: { type: 'webhook', url: sink.url, secret: { env: 'RELAY_TEST_SECRET' } } }
  writeFileSync(
    file,
    JSON.stringify({
      environment: 'test',
      ledger: { url: bench.url },
      redis: { url: redisServer.url },
      alerts: { channels, routes: [{ to: ['log', 'ops'] }] },
    }),
  )
  const child = spawn(process.execPath, [main, '--config', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, RELAY_TEST_SECRET: secret },
  })
  const lines: Record<string, unknown>[] = []
  createInterface(child.stdout).on('line', line => lines.push(JSON.parse(line)))
  const relay: Relay = {
    address: '',
    notifications: () => lines.filter(line => line.event === 'notification'),
    kill: signal => end(child, signal),
  }
  relays.push(relay)
  await until('the relay to be ready', () => lines.some(line => line.event === 'service_ready'), { within: 20_000 })
  return Object.assign(relay, { address: String(lines.find(line => line.event === 'service_started')!.address) })
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const gone = once(child, 'exit')
  child.kill(signal)
  return ((await gone) as [number | null])[0]
}
