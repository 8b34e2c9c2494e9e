// The service as it is deployed: real processes under plain node, beside a ledger, an operations Redis and a platform Redis that goes and comes back.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listReadings } from '@dbops/ledger/probes'
import { listServices } from '@dbops/ledger/services'
import { startRedis } from '@dbops/servers/redis'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'

const main = 'apps/redis-inspector/src/main.ts'
let dir: string
let platform: Awaited<ReturnType<typeof startRedis>> | undefined
let line: Line | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'platform-'))
})
afterEach(async () => {
  await line?.close()
  await platform?.stop()
  rmSync(dir, { recursive: true, force: true })
  rmSync(`${dir}.password`, { force: true })
  rmSync(`${dir}.log`, { force: true })
})

test('it comes up under plain node, answers on its page, and ends in order', async () => {
  const inspector = await begin(inject('platformRedisUrl'))
  const [live, ready] = await Promise.all(['/health/live', '/health/ready'].map(async path => (await page(inspector, path)).status))
  const { detail } = await until('it has said what it does', async () =>
    (await listServices(line!.ledger, 60_000)).find(one => one.detail['lanes']),
  )
  // Its tasks are light ones.
  expect([live, ready, detail['lanes'], await inspector.stop()]).toEqual([200, 200, { light: 4 }, 0])
})

test('a Redis that goes and comes back is one failure and one recovery, however many replicas look', async () => {
  const port = await startPlatform()
  const replicas = [await begin(platform!.url), await line!.start(main)]
  await reading('ok')
  const gauges = await Promise.all(replicas.map(async replica => (await metrics(replica)).join()))
  await platform!.stop()
  await reading('failed')
  await reading('failed', await lastReading())
  const down = await Promise.all(replicas.map(async replica => (await metrics(replica)).join()))
  await startPlatform(port)
  await reading('ok')
  expect([
    await line!.events(),
    gauges.filter(Boolean),
    down.filter(Boolean),
    (await health()).map(({ target, probe, state, error }) => [target, probe, state, error]),
  ]).toEqual([
    ['redis_connection_failed', 'redis_connection_recovered'],
    ['dbops_redis_memory_max_bytes=67108864,dbops_target_up=1'],
    ['dbops_target_up=0'],
    [['platform', 'redis.health', 'ok', null]],
  ])
})

async function begin(url: string): Promise<Process> {
  line = await startLine('targets: { platform: { engine: redis, url: { env: PLATFORM_URL } } }\n', { PLATFORM_URL: url })
  return line.start(main)
}

/** Keeps its place and password, so that it comes back as the one that went. */
async function startPlatform(port?: number): Promise<number> {
  platform = await startRedis({ dir, ...(port ? { port } : {}), settings: { maxmemory: '64mb', maxmemoryPolicy: 'allkeys-lru' } })
  return Number(new URL(platform.url).port)
}

const health = async () => (await listReadings(line!.ledger)).filter(({ probe }) => probe === 'redis.health')
const lastReading = async () => (await health())[0]!.at

/** Waits for a reading of this state, later than `after`. */
const reading = (state: 'ok' | 'failed', after = new Date(0)) =>
  until(`a reading that is ${state}`, async () => (await health()).some(r => r.state === state && r.at > after), {
    within: 25_000,
  })

async function page({ pid }: Process, path: string): Promise<Response> {
  const service = (await listServices(line!.ledger, 60_000)).find(({ name }) => name.endsWith(`:${pid}`))
  return fetch(`${service!.address}${path}`)
}

const metrics = async (replica: Process) =>
  [
    ...(await (await page(replica, '/metrics')).text()).matchAll(
      /^(dbops_(?:target_up|redis_memory_max_bytes))\{.*target="platform".*\} (\S+)$/gm,
    ),
  ]
    .map(([, name, value]) => `${name}=${value}`)
    .toSorted()
