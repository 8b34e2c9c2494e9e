// Redis 6.2, a real one: all that looks at a Redis looks at this one too, and what it cannot know is null and not a number.
import { redisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { aLook } from '@dbops/testing/a-look'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import clients from '../src/probes/clients.ts'
import health from '../src/probes/health.ts'
import latency from '../src/probes/latency.ts'
import slowCommands from '../src/probes/slow-commands.ts'
import streams from '../src/probes/streams.ts'
import { redis as driver } from '../src/redis.ts'
import evictionCheck from '../src/tasks/eviction-check.ts'
import keyReview from '../src/tasks/key-review.ts'
import memoryReview from '../src/tasks/memory-review.ts'
import slowlogReview from '../src/tasks/slowlog-review.ts'
import streamCheck from '../src/tasks/stream-check.ts'

let server: Server
let client: Redis
beforeAll(async () => {
  server = await startRedis({ version: '6.2', settings: { 'slowlog-log-slower-than': 0 } })
  client = new Redis(server.url)
}, 180_000)
afterAll(async () => {
  client.disconnect()
  await server.stop()
})
beforeEach(() => client.flushall())

const config = () => redisTarget.parse({ engine: 'redis', url: server.url })
async function within<T>(work: (verbs: Awaited<ReturnType<typeof driver.look>>['verbs'], signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(30_000)
  const session = await driver.look({ name: 'platform', environment: 'test', config: config() }, 'dbops:test:1:versions', signal)
  try {
    return await work(session.verbs, signal)
  } finally {
    await session.close()
  }
}
const look = (probe: typeof health, last: unknown = null) =>
  within(async (verbs, signal) => {
    const faults: Fault[] = []
    const c = { ...aLook('platform', config(), signal), last: last as never, find: (fault: Fault) => void faults.push(fault) }
    return {
      result: probe.result.parse(await probe.look({ ...c, ...verbs })),
      keys: faults.map(({ key }) => key),
    }
  })
const run = (task: typeof keyReview) =>
  within(async (verbs, signal) => {
    const c = {
      ...verbs,
      signal,
      params: task.params.parse({}),
      target: { name: 'platform', config: config() },
      last: async () => null,
      save: async () => undefined,
      found: async () => undefined,
      progress: () => undefined,
      log: () => undefined,
      as: () => undefined,
    }
    return task.result.parse(await task.run(c as never))
  })

test('every probe reads it', async () => {
  const { result } = await look(health)
  expect(result['version']).toBe('6.2.14')
  expect((await look(clients)).result).toMatchObject({
    limit: 10_000,
    applications: expect.arrayContaining([expect.objectContaining({ name: 'dbops' })]),
  })
  expect((await look(slowCommands)).result).toMatchObject({ overflowed: false })
  expect((await look(latency)).result).toMatchObject({ events: [] })
})

test('every task looks at it; the keys by a script that a version before 7 has no read-only form of', async () => {
  await client.eval(`for i = 1, 500 do redis.call('SET', 'cache:' .. i, i, 'EX', 60) redis.call('HSET', 'session:' .. i, 'a', i) end`, 0)
  await client.xadd('events', '*', 'n', '1')
  const review = await run(keyReview)
  expect(review).toMatchObject({ version: '6.2.14', seen: 1_001, complete: true })
  expect((review['kinds'] as { type: string; encoding: string }[]).map(({ type, encoding }) => `${type}/${encoding}`).toSorted()).toEqual([
    'hash/ziplist',
    'stream/stream',
    'string/int',
  ])
  for (const task of [evictionCheck, memoryReview, slowlogReview, streamCheck]) expect(await run(task)).toBeTypeOf('object')
})

test('how much was lost unread cannot be known there: it is null, and that something was is seen all the same', async () => {
  await client.xgroup('CREATE', 's', 'g', '0', 'MKSTREAM')
  for (let n = 0; n < 20; n++) await client.xadd('s', '*', 'n', n)
  await client.xreadgroup('GROUP', 'g', 'c', 'COUNT', 5, 'STREAMS', 's', '>')
  const before = await look(streams)
  await client.xtrim('s', 'MAXLEN', 3)
  const after = await look(streams, { at: new Date(), result: before.result })
  const group = ({ result }: typeof before) =>
    (result['streams'] as { added: number | null; groups: { unread: number; lost: number | null }[] }[])[0]!
  expect([group(before).added, group(before).groups[0], group(after).groups[0]]).toMatchObject([
    null,
    { unread: 15, lost: 0 },
    { unread: 3, lost: null },
  ])
  expect([before.keys, after.keys.filter(key => key.startsWith('lost'))]).toEqual([[], ['lost s g']])
})
