// redis.streams and redis.stream-check on real servers: each way in which a stream loses what nobody has read, and in which Redis says nothing of it, or the wrong thing.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { redisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { type RedisOptions, startRedis } from '@dbops/servers/redis'
import { aLook } from '@dbops/testing/a-look'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { z } from 'zod'
import probe from '../src/probes/streams.ts'
import { redis as driver } from '../src/redis.ts'
import { judge } from '../src/streams/judge.ts'
import type { GroupFacts, StreamFacts } from '../src/streams/read.ts'
import streamCheck from '../src/tasks/stream-check.ts'

type Result = z.output<typeof probe.result> & {
  streams: StreamFacts[]
  gone: { stream: string; group: string | null }[]
  refused: string[]
}
interface Reading {
  at: Date
  result: Result
  faults: Fault[]
}
const servers: Awaited<ReturnType<typeof startRedis>>[] = []
let url: string
let redis: Redis
beforeEach(async () => begin())
afterEach(async () => {
  redis.disconnect()
  await Promise.all(servers.splice(0).map(server => server.stop()))
})
async function begin(options: RedisOptions = {}) {
  redis?.disconnect()
  const server = await startRedis(options)
  servers.push(server)
  url = server.url
  redis = new Redis(url)
}

const targetOf = (at: string) => ({ name: 'platform', environment: 'test', config: redisTarget.parse({ engine: 'redis', url: at }) })
async function look(last: Reading | null = null, at = url): Promise<Reading> {
  const signal = AbortSignal.timeout(20_000)
  const session = await driver.look(targetOf(at), 'dbops:test:probe:redis.streams', signal)
  const faults: Fault[] = []
  try {
    const c = { ...aLook('platform', targetOf(at).config, signal), last, find: (fault: Fault) => void faults.push(fault) }
    return { at: new Date(), result: probe.result.parse(await probe.look({ ...c, ...session.verbs })) as Result, faults }
  } finally {
    await session.close()
  }
}
const add = async (n: number, stream = 's') => {
  const pipeline = redis.pipeline()
  for (let i = 0; i < n; i++) pipeline.xadd(stream, '*', 'n', String(i))
  await pipeline.exec()
}
const readBy = (group: string, n: number, stream = 's', consumer = 'c') =>
  redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', n, 'STREAMS', stream, '>')
const keys = ({ faults }: Reading) => faults.map(({ level, key }) => `${level} ${key}`)
const groupOf = ({ result }: Reading, stream = 's', group = 'g') =>
  result.streams.find(one => one.stream === stream)!.groups.find(one => one.group === group)!

test('streams are found by themselves, with what each group has read', async () => {
  await add(20)
  await add(3, 'axiom:events')
  await redis.set('no-stream', 'x')
  await redis.xgroup('CREATE', 's', 'g', '0')
  await readBy('g', 5)
  const reading = await look()
  expect([
    reading.result.streams.map(({ stream, length, added }) => [stream, length, added]),
    groupOf(reading),
    reading.faults,
  ]).toMatchObject([
    [
      ['axiom:events', 3, 3],
      ['s', 20, 20],
    ],
    { unread: 15, more: false, lost: 0, pending: 5, deliveries: 1, consumers: 1 },
    [],
  ])
})

test('what is trimmed while unread is lost, though the lag says that it waits', async () => {
  await add(20)
  await redis.xgroup('CREATE', 's', 'g', '0')
  await readBy('g', 5)
  await redis.xtrim('s', 'MAXLEN', 3)
  const lag = ((await redis.xinfo('GROUPS', 's')) as unknown[][])[0]!.at(-1)
  const reading = await look()
  expect([lag, groupOf(reading), reading.faults]).toMatchObject([
    15,
    { unread: 3, lost: 12 },
    [
      {
        key: 'lost s g',
        level: 'error',
        what: '12 entries of s were trimmed before g had read them',
        tells: { opened: 'redis_stream_data_loss' },
      },
    ],
  ])
})

test('what was trimmed after it was read, and before a group was made, is no loss', async () => {
  await add(20)
  await redis.xgroup('CREATE', 's', 'g', '0')
  await readBy('g', 20)
  await redis.xtrim('s', 'MAXLEN', 3)
  await redis.xgroup('CREATE', 's', 'late', '0')
  await add(1)
  await redis.xtrim('s', 'MAXLEN', 1)
  const reading = await look()
  expect([groupOf(reading), groupOf(reading, 's', 'late'), keys(reading)]).toMatchObject([
    { unread: 1, lost: 0 },
    { unread: 1, lost: 0 },
    [],
  ])
})

test('a lag that Redis does not know is counted', async () => {
  await add(2_500)
  const [[id]] = (await redis.xrange('s', '-', '+', 'COUNT', 1)) as [[string, string[]]]
  await redis.xgroup('CREATE', 's', 'g', `${id.split('-')[0]}-999999`)
  await redis.xgroup('CREATE', 's', 'whole', '0')
  await readBy('whole', 100)
  const rest = await redis.xrange('s', '-', '+')
  await redis.xdel('s', rest[200]![0])
  const lags = ((await redis.xinfo('GROUPS', 's')) as unknown[][]).map(group => group.at(-1))
  const reading = await look()
  expect([lags, groupOf(reading, 's', 'whole').unread]).toEqual([[null, null], 2_399])
})

test('more than ten thousand that have to be counted are said to be more', async () => {
  await add(10_500)
  const all = await redis.xrange('s', '-', '+', 'COUNT', 2)
  await redis.xgroup('CREATE', 's', 'g', all[1]![0])
  await redis.xdel('s', (await redis.xrange('s', '-', '+', 'COUNT', 30))[20]![0])
  expect(groupOf(await look())).toMatchObject({ unread: 10_000, more: true })
})

test('a stream that was evicted whole is missed until it comes back', async () => {
  await begin({ settings: { maxmemory: '3mb', maxmemoryPolicy: 'allkeys-lru' } })
  await add(50)
  await redis.xgroup('CREATE', 's', 'g', '0')
  const before = await look()
  for (let n = 0; (await redis.exists('s')) && n < 20_000; n++) await redis.set(`cache:${n}`, 'x'.repeat(10_000))
  const gone = await look(before)
  const still = await look(gone)
  await redis.config('SET', 'maxmemory', '0')
  await add(1)
  await redis.xgroup('CREATE', 's', 'g', '0')
  expect([before, gone, still, await look(still)].map(keys)).toEqual([[], ['error stream s'], ['error stream s'], []])
})

test('of more than two hundred streams those that were looked at stay, the others are counted', async () => {
  const pipeline = redis.pipeline()
  for (let n = 0; n < 200; n++) pipeline.xadd(`z${n}`, '*', 'n', '1')
  await pipeline.exec()
  const before = await look()
  await add(1, 'a')
  const after = await look(before)
  expect([before.result.streams.length, after.result.streams.length, after.result, keys(after)]).toMatchObject([
    200,
    200,
    { left: 1, gone: [] },
    [],
  ])
})

test('a group that is gone from its stream is missed until it comes back', async () => {
  await add(5)
  await redis.xgroup('CREATE', 's', 'g', '0')
  const before = await look()
  await redis.xgroup('DESTROY', 's', 'g')
  const gone = await look(before)
  const still = await look(gone)
  await redis.xgroup('CREATE', 's', 'g', '0')
  expect([before, gone, still, await look(still)].map(keys)).toEqual([[], ['error group s g'], ['error group s g'], []])
})

test('when what is unread will be trimmed is told from the pace, and from half of what the stream keeps on', async () => {
  await add(120)
  await redis.xtrim('s', 'MAXLEN', 100)
  await redis.xgroup('CREATE', 's', 'g', '$')
  await add(60)
  await redis.xtrim('s', 'MAXLEN', 100)
  const now = await look()
  const before: Reading = {
    ...now,
    at: new Date(now.at.getTime() - 60_000),
    result: { ...now.result, streams: now.result.streams.map(one => ({ ...one, added: one.added! - 60 })) },
  }
  expect((await look(before)).faults.map(({ what }) => what)).toEqual([
    expect.stringMatching(/^the group g of s has 60 of 100 entries to read; at (1\.0|0\.9) a second the first of them is trimmed in \d+s/),
  ])
})

test('an entry that nobody can take, and one that waits for its acknowledgement for long', async () => {
  await add(2)
  await add(2, 'slow')
  for (const stream of ['s', 'slow']) {
    await redis.xgroup('CREATE', stream, 'g', '0')
    await readBy('g', 2, stream)
  }
  const [[poison]] = (await redis.xrange('s', '-', '+', 'COUNT', 1)) as [[string, string[]]]
  const [[waits]] = (await redis.xrange('slow', '-', '+', 'COUNT', 1)) as [[string, string[]]]
  await redis.call('XCLAIM', 's', 'g', 'c', 0, poison, 'RETRYCOUNT', 12)
  await redis.call('XCLAIM', 'slow', 'g', 'c', 0, waits, 'IDLE', 1_200_000)
  // Trimmed while they were pending: no body, and they count all the same.
  await redis.xtrim('slow', 'MAXLEN', 0)
  const reading = await look()
  expect(reading.faults.map(({ what }) => what)).toEqual([
    'an entry that the group g of s has not acknowledged was delivered 12 times',
    expect.stringMatching(/^the group g of slow has 2 entries that were delivered and not acknowledged, one for 20m/),
  ])
})

test('a look changes nothing', async () => {
  await add(20)
  await redis.xgroup('CREATE', 's', 'g', '0')
  await readBy('g', 5)
  await redis.xtrim('s', 'MAXLEN', 3)
  const whole = async () =>
    JSON.stringify(await redis.call('XINFO', 'STREAM', 's', 'FULL', 'COUNT', 100)).replace(/"(seen|active)-time",\d+/g, '')
  const before = await whole()
  await look()
  expect(await whole()).toBe(before)
})

test('under the user of deploy/redis all is seen; what it may not look at is named with the grant', async () => {
  await add(1)
  await redis.xgroup('CREATE', 's', 'g', '0')
  const [rules] = readFileSync(join(import.meta.dirname, '../../../deploy/redis/platform.acl'), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('user '))
    .map(line => line.replace('>CHANGE-ME', '>secret').split(' ').slice(1))
  await redis.call('ACL', 'SETUSER', ...rules!)
  const as = Object.assign(new URL(url), { username: 'dbops', password: 'secret' }).href
  const all = await look(null, as)
  await redis.call('ACL', 'SETUSER', 'dbops', 'resetkeys', '~other')
  const less = await look(all, as)
  expect([groupOf(all).unread, keys(all), less.result.refused, less.faults]).toMatchObject([
    1,
    [],
    ['s'],
    [{ key: 'rights', hint: expect.stringContaining('%R~*') as string }],
  ])
})

test('before Redis 7 a loss is seen, and how much was lost is not known', () => {
  const group: GroupFacts = {
    group: 'g',
    pending: 0,
    pendingForMs: null,
    deliveries: 0,
    delivered: '5-0',
    next: '6-0',
    unread: 3,
    more: false,
    lost: null,
    consumers: 1,
    idle: [{ consumer: 'c', pending: 2, idleMs: 7_200_000 }],
  }
  const stream = (first: string, next: string): StreamFacts => ({
    stream: 's',
    length: 3,
    first,
    last: '20-0',
    added: null,
    groups: [{ ...group, next }],
  })
  const at = new Date('2026-01-01T00:00:00Z')
  const before = { at, streams: [stream('6-0', '6-0')], gone: [] }
  const faults = judge(new Date(at.getTime() + 60_000), [stream('18-0', '18-0')], [], before)
  const none = judge(new Date(at.getTime() + 60_000), [stream('6-0', '6-0')], [], before)
  const gone = 'c of the group g of s has 2 entries and has not asked for 2h'
  expect([faults.map(({ what }) => what), none.map(({ what }) => what)]).toEqual([
    ['some entries of s were trimmed before g had read them', gone],
    [gone],
  ])
})

test('redis.stream-check goes through all keys and says the same at once', async () => {
  const pipeline = redis.pipeline()
  for (let n = 0; n < 5_000; n++) pipeline.set(`cache:${n}`, 'x')
  await pipeline.exec()
  await add(20)
  await redis.xgroup('CREATE', 's', 'g', '0')
  await readBy('g', 5)
  await redis.xtrim('s', 'MAXLEN', 3)
  const signal = AbortSignal.timeout(30_000)
  const session = await driver.look(targetOf(url), 'dbops:test:1:redis.stream-check', signal)
  try {
    const seen: number[] = []
    const c = { ...session.verbs, signal, progress: (done: number) => void seen.push(done) }
    const facts = streamCheck.result.parse(await streamCheck.run(c as never))
    expect([facts, seen.length > 5]).toMatchObject([
      {
        keys: 5_001,
        streams: [{ stream: 's' }],
        faults: [{ level: 'error', what: '12 entries of s were trimmed before g had read them' }],
      },
      true,
    ])
  } finally {
    await session.close()
  }
})
