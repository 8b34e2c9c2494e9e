// redis.memory-review: what is judged and what is left alone, on real servers, and on the figures of servers that are not to be had here.
import { redisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { startRedis } from '@dbops/servers/redis'
import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { redis as driver } from '../src/redis.ts'
import memoryReview, { type MemoryFacts, review } from '../src/tasks/memory-review.ts'

const servers: Awaited<ReturnType<typeof startRedis>>[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => server.stop()))
})
const words = (faults: Fault[]) => faults.map(({ level, key, what }) => `${level} ${key}: ${what}`)

async function onServer(settings: Record<string, string>, fill?: (redis: Redis) => Promise<unknown>) {
  const server = await startRedis({ settings })
  servers.push(server)
  const client = new Redis(server.url)
  await fill?.(client)
  client.disconnect()
  const signal = AbortSignal.timeout(10_000)
  const target = { name: 'platform', environment: 'test', config: redisTarget.parse({ engine: 'redis', url: server.url }) }
  const session = await driver.look(target, 'dbops:test:1:redis.memory-review', signal)
  let faults: Fault[] = []
  try {
    const c = { ...session.verbs, signal, found: async (all: Fault[]) => void (faults = all) }
    return { facts: memoryReview.result.parse(await memoryReview.run(c as never)) as MemoryFacts, faults: words(faults) }
  } finally {
    await session.close()
  }
}

test('an idle instance with a high fragmentation ratio is healthy', async () => {
  const { facts, faults } = await onServer({ maxmemory: '64mb' })
  expect([facts.fragmentation > 1.5, facts.usedBytes > 0, faults]).toEqual([true, true, []])
})

test('one without a limit is told, in place of a division by nothing', async () => {
  const { facts, faults } = await onServer({})
  expect([facts.maxMemoryBytes, faults]).toEqual([
    null,
    [expect.stringMatching(/^warning limit: it has no maxmemory: it takes \d\.\d MiB/)],
  ])
})

test('one that is nearly full and evicts nothing is told before it refuses writes', async () => {
  const { faults } = await onServer({ maxmemory: '8mb', maxmemoryPolicy: 'noeviction' }, async redis => {
    for (let n = 0; n < 600; n++) await redis.set(`k:${n}`, 'x'.repeat(10_000)).catch(() => undefined)
  })
  expect(faults).toEqual([expect.stringMatching(/^(warning|error) full: \d+ % of its maxmemory of 8\.0 MiB are used/)])
})

test('a cache that is full and evicts does what it is for', async () => {
  const { faults } = await onServer({ maxmemory: '4mb', maxmemoryPolicy: 'allkeys-lru' }, async redis => {
    for (let n = 0; n < 600; n++) await redis.set(`k:${n}`, 'x'.repeat(10_000))
  })
  expect(faults).toEqual([])
})

test.each<[string, Partial<MemoryFacts>, string[]]>([
  ['large and fragmented', { allocatorFragmentation: 1.8 }, ['warning fragmentation']],
  ['the same while it defragments', { allocatorFragmentation: 1.8, activeDefrag: true }, []],
  ['small and fragmented', { usedBytes: 10 * 2 ** 20, residentBytes: 18 * 2 ** 20, allocatorFragmentation: 1.8 }, []],
  ['a server that says nothing of its allocator', { allocatorFragmentation: null }, []],
  ['swapped out', { residentBytes: 100 * 2 ** 20 }, ['error swap']],
  ['buffers of clients', { clientsBytes: 300 * 2 ** 20 }, ['warning clients']],
  ['refused connections', { rejectedConnections: 3 }, ['warning connections']],
])('%s', (_, more, found) => {
  const healthy: MemoryFacts = {
    usedBytes: 500 * 2 ** 20,
    peakBytes: 600 * 2 ** 20,
    residentBytes: 520 * 2 ** 20,
    maxMemoryBytes: 2 ** 30,
    policy: 'noeviction',
    overheadBytes: 2 ** 20,
    datasetBytes: 499 * 2 ** 20,
    clientsBytes: 2 ** 20,
    notEvictableBytes: 0,
    fragmentation: 1.04,
    allocatorFragmentation: 1.02,
    evictedKeys: 0,
    rejectedConnections: 0,
    activeDefrag: false,
  }
  expect(review({ ...healthy, ...more }).map(({ level, key }) => `${level} ${key}`)).toEqual(found)
})
