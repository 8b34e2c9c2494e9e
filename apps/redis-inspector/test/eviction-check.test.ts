// redis.eviction-check on real servers: what each policy would delete of what lives there.
import { redisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { startRedis } from '@dbops/servers/redis'
import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { redis as driver } from '../src/redis.ts'
import eviction from '../src/tasks/eviction-check.ts'

const servers: Awaited<ReturnType<typeof startRedis>>[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => server.stop()))
})

const cacheKeys = { cache: { prefix: 'cache:', evictable: true } }
/** The platform's keys, or its cache alone, under a policy. */
async function check(
  maxmemoryPolicy: string,
  {
    cacheAlone = false,
    maxmemory = '64mb',
    keys = cacheKeys,
  }: { cacheAlone?: boolean; maxmemory?: string; keys?: Record<string, unknown> } = {},
) {
  const server = await startRedis({ settings: { maxmemoryPolicy, maxmemory } })
  servers.push(server)
  const redis = new Redis(server.url)
  const pipeline = redis.pipeline()
  for (let n = 0; n < 900; n++) pipeline.set(`cache:view:${n}`, 'x', 'EX', 300)
  if (!cacheAlone) {
    for (let n = 0; n < 60; n++) pipeline.set(`session:${n}`, 'x', 'EX', 3_600)
    for (let n = 0; n < 40; n++) pipeline.set(`event:processed:${n}`, '1', 'EX', 604_800)
    for (const stream of ['axiom:events', 'axiom:watches']) pipeline.xadd(stream, '*', 'n', '1')
  }
  await pipeline.exec()
  redis.disconnect()
  const signal = AbortSignal.timeout(20_000)
  const target = { name: 'platform', environment: 'test', config: redisTarget.parse({ engine: 'redis', url: server.url, keys }) }
  const session = await driver.look(target, 'dbops:test:1:redis.eviction-check', signal)
  let faults: Fault[] = []
  try {
    const c = { ...session.verbs, signal, target, progress: () => undefined, found: async (all: Fault[]) => void (faults = all) }
    return { facts: eviction.result.parse(await eviction.run(c as never)), faults }
  } finally {
    await session.close()
  }
}
const words = ({ faults }: { faults: Fault[] }) => faults.map(({ key, what }) => `${key}: ${what}`)

test('allkeys-lru takes whole streams, sessions and idempotency keys; each is told with its event', async () => {
  const checked = await check('allkeys-lru')
  expect([words(checked), checked.faults.map(({ tells }) => tells?.opened)]).toEqual([
    [
      'streams: under allkeys-lru a stream is evicted whole, with its groups: axiom:events, axiom:watches; 0 keys were evicted since its start',
      'keys: under allkeys-lru keys are evicted that are no cache: session:* (6 %), event:processed:* (4 %); 0 keys were evicted since its start',
    ],
    ['redis_eviction_risk', 'redis_eviction_risk'],
  ])
  expect(checked.facts).toMatchObject({
    policy: 'allkeys-lru',
    maxMemoryBytes: 64 * 2 ** 20,
    sampled: 1_002,
    prefixes: [
      { prefix: 'cache:view:', keys: 900, withTtl: 900, types: { string: 900 } },
      { prefix: 'session:', keys: 60 },
      { prefix: 'event:processed:', keys: 40 },
      { prefix: 'axiom:', keys: 2, withTtl: 0, types: { stream: 2 } },
    ],
  })
})

test('volatile-lru leaves streams alone, and takes what has a TTL', async () => {
  expect(words(await check('volatile-lru', { maxmemory: '0' }))).toEqual([
    'keys: under volatile-lru keys are evicted that are no cache: session:* (6 %), event:processed:* (4 %); it has no maxmemory yet',
  ])
})

test('a cache that nobody has declared is told as well, with how to', async () => {
  const { faults } = await check('allkeys-lru', { cacheAlone: true, keys: {} })
  expect(faults).toMatchObject([
    { key: 'keys', what: expect.stringContaining('cache:view:* (100 %)'), hint: expect.stringContaining('evictable: true') },
  ])
})

test.each([
  ['noeviction', {}],
  ['allkeys-lru', { cacheAlone: true }],
])('nothing is at stake under %s, %j', async (policy, options) => {
  expect(words(await check(policy, options))).toEqual([])
})
