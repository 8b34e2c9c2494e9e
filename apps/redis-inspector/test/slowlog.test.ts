// The slow log of real servers: what is told of it, once, and without the values that were asked for.
import { redisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { startRedis } from '@dbops/servers/redis'
import { aLook } from '@dbops/testing/a-look'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import probe from '../src/probes/slow-commands.ts'
import { redis as driver } from '../src/redis.ts'
import { patternOf } from '../src/slowlog/entries.ts'
import review from '../src/tasks/slowlog-review.ts'

interface Result {
  newest: number
  slow: { pattern: string; client: string }[]
  total: number
  overflowed: boolean
}
interface Reading {
  at: Date
  result: Result
  told: string[]
}
let server: Awaited<ReturnType<typeof startRedis>>
let redis: Redis
beforeEach(async () => {
  server = await startRedis({ settings: { slowlogLogSlowerThan: 0, slowlogMaxLen: 128, enableDebugCommand: 'yes' } })
  redis = new Redis(server.url, { connectionName: 'core-api', disableClientInfo: true, enableReadyCheck: false })
})
afterEach(async () => {
  redis.disconnect()
  await server.stop()
})

const target = () => ({ name: 'platform', environment: 'test', config: redisTarget.parse({ engine: 'redis', url: server.url }) })
async function inSession<T>(work: (session: Awaited<ReturnType<typeof driver.look>>, signal: AbortSignal) => Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(10_000)
  const session = await driver.look(target(), 'dbops:test:probe:redis.slow-commands', signal)
  try {
    return await work(session, signal)
  } finally {
    await session.close()
  }
}
const look = (last: Reading | null = null) =>
  inSession(async (session, signal): Promise<Reading> => {
    const told: string[] = []
    const tell = (event: string, { query }: Record<string, unknown>) => void told.push(`${event} ${String(query)}`)
    const c = { ...aLook('platform', target().config, signal), ...session.verbs, last, tell }
    return { at: new Date(), result: probe.result.parse(await probe.look(c as never)) as unknown as Result, told }
  })

test('a command that kept the server is told once, by whom and without its values; what lay there before is no news', async () => {
  await redis.call('DEBUG', 'SLEEP', '0.15')
  const first = await look()
  await redis.eval(`local n = 0; for i = 1, tonumber(ARGV[1]) do n = n + i % 7 end; return n`, 1, 'session:kim-of-seoul', 6_000_000)
  await redis.call('DEBUG', 'SLEEP', '0.12')
  const second = await look(first)
  const third = await look(second)
  expect([first.told, second.told.at(-1), second.result.slow[0], third.told, JSON.stringify(second).includes('kim')]).toMatchObject([
    [],
    'redis_command_slow DEBUG SLEEP ?',
    { pattern: 'DEBUG SLEEP ?', client: 'core-api' },
    [],
    false,
  ])
})

test('a log that was emptied, or a server that was restarted, is begun anew', async () => {
  for (let n = 0; n < 20; n++) await redis.get('a')
  const first = await look()
  // A restart begins its count at 0; SLOWLOG RESET does not.
  const seen = await look({ ...first, result: { ...first.result, newest: 1_000_000 } })
  expect([seen.result.newest < 1_000, seen.result.overflowed]).toEqual([true, false])
})

test('more than the log holds is said to be more', async () => {
  const first = await look()
  const pipeline = redis.pipeline()
  for (let n = 0; n < 400; n++) pipeline.get('a')
  await pipeline.exec()
  expect((await look(first)).result.overflowed).toBe(true)
})

test('the review groups by pattern, and says what does the same in steps', async () => {
  const pipeline = redis.pipeline()
  for (let n = 0; n < 300_000; n++) pipeline.set(`cache:${n}`, 'x')
  await pipeline.exec()
  for (let n = 0; n < 3; n++) await redis.keys('cache:kim*')
  let faults: Fault[] = []
  const facts = await inSession(async (session, signal) =>
    review.result.parse(await review.run({ ...session.verbs, signal, found: async (all: Fault[]) => void (faults = all) } as never)),
  )
  const { patterns } = facts as unknown as { patterns: { pattern: string; count: number; clients: string[] }[] }
  expect([patterns.find(({ pattern }) => pattern.startsWith('KEYS')), faults, JSON.stringify(facts).includes('kim')]).toMatchObject([
    { pattern: 'KEYS cache:*', count: 3, clients: ['core-api'] },
    [{ key: 'KEYS cache:*', hint: 'in place of it: SCAN with a COUNT, step by step' }],
    false,
  ])
})

test.each([
  [['GET', 'session:kim'], 'GET session:*'],
  [['get', 'kim'], 'GET ?'],
  [['HSET', 'user:7', 'name', 'Kim'], 'HSET user:* … 2 more'],
  [['CONFIG', 'set', 'requirepass', 'secret'], 'CONFIG SET ? … 1 more'],
  [['EVAL', 'return "secret"', '0'], 'EVAL ? … 1 more'],
  [['PING'], 'PING'],
  [['AUTH', 'secret'], 'AUTH ?'],
  [['XADD', 'axiom:events', '*', 'a', 'b'], 'XADD axiom:* … 3 more'],
])('%j is shown as %s', (argv, pattern) => {
  expect(patternOf(argv)).toBe(pattern)
})
