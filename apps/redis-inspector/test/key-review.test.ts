// redis.key-review on real servers: what it counts, what it finds, what it does not disturb, and how far off a sample is.
import { redisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { startRedis } from '@dbops/servers/redis'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, test } from 'vitest'
import type { KeyFacts } from '../src/keys/facts.ts'
import { redis as driver } from '../src/redis.ts'
import keyReview from '../src/tasks/key-review.ts'

const ended: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end()
})

async function aServer(settings: Record<string, string> = {}) {
  const server = await startRedis({ settings })
  const client = new Redis(server.url)
  ended.push(
    () => server.stop(),
    () => client.disconnect(),
  )
  return { server, client }
}

/** Keys by the thousand, made inside the server: `n` of them, `each` is Lua over `i`. */
const fill = (client: Redis, n: number, each: string) => client.eval(`for i = 1, ${n} do ${each} end`, 0)

interface Ways {
  params?: Record<string, unknown>
  keys?: Record<string, unknown>
  last?: { at: Date; result: KeyFacts }
  state?: unknown
  save?: (state: unknown) => Promise<void>
  signal?: AbortSignal
}
async function review(url: string, { params = {}, keys = {}, last, state, save, signal = AbortSignal.timeout(60_000) }: Ways = {}) {
  const config = redisTarget.parse({ engine: 'redis', url, keys })
  const session = await driver.look({ name: 'platform', environment: 'test', config }, 'dbops:test:1:redis.key-review', signal)
  let faults: Fault[] = []
  const lines: string[] = []
  try {
    const c = {
      ...session.verbs,
      signal,
      params: keyReview.params.parse(params),
      target: { name: 'platform', config },
      state,
      last: async () => last ?? null,
      save: save ?? (async () => undefined),
      found: async (all: Fault[]) => void (faults = all),
      progress: () => undefined,
      log: (line: string) => void lines.push(line),
    }
    const facts = keyReview.result.parse(await keyReview.run(c as never)) as KeyFacts
    return { facts, faults, words: faults.map(({ level, key, what }) => `${level} ${key}: ${what}`), lines }
  } finally {
    await session.close()
  }
}
const quick = { share: 100 }

test('one pass counts keys, bytes, types and encodings by prefix, and names the largest', async () => {
  const { server, client } = await aServer()
  await fill(client, 2_000, `redis.call('SET', 'cache:user:' .. i, string.rep('x', 200), 'EX', 600)`)
  await fill(client, 500, `redis.call('HSET', 'session:' .. i, 'user', i, 'at', 'now') redis.call('EXPIRE', 'session:' .. i, 3600)`)
  await fill(client, 300, `redis.call('SET', 'cart:' .. i .. ':items', i)`)
  await fill(client, 60, `redis.call('SET', 'limit:v2:tenant-' .. i .. ':api', i)`)
  await fill(client, 50_000, `redis.call('SADD', 'members', 'm' .. i)`)
  await client.set('blob', 'y'.repeat(3_000_000))
  await client.rpush('jobs', ...Array.from({ length: 100 }, (_, i) => `job ${i}`))
  const { facts, faults } = await review(server.url, { params: quick })
  const by = Object.fromEntries(facts.prefixes.map(({ prefix, keys, types, withoutTtl }) => [prefix, [keys.n, types, withoutTtl]]))
  expect(by).toEqual({
    'cache:user:': [2_000, ['string'], 0],
    'session:': [500, ['hash'], 0],
    'cart:*:': [300, ['string'], 1],
    'limit:v2:tenant-*:': [60, ['string'], 1],
    '': [3, expect.arrayContaining(['set', 'string', 'list']), 1],
  })
  expect([facts.seen, facts.keys, facts.complete, facts.confidence, facts.hottest]).toEqual([2_863, 2_863, true, null, null])
  expect(facts.largest.slice(0, 2).map(({ key, type, elements }) => [key, type, elements])).toEqual([
    ['blob', 'string', null],
    ['members', 'set', 50_000],
  ])
  expect(facts.longest.map(({ key }) => key)).toEqual(['members'])
  expect(facts.kinds.map(({ type, encoding, keys }) => `${type}/${encoding} ${keys.n}`).toSorted()).toEqual(
    ['hash/listpack 500', 'list/listpack 1', 'set/hashtable 1', 'string/embstr 0', 'string/int 360', 'string/raw 2001']
      .filter(kind => !kind.endsWith(' 0'))
      .map(kind => (kind === 'list/listpack 1' ? expect.stringMatching(/^list\/(listpack|quicklist) 1$/) : kind)),
  )
  const each = await Promise.all((await client.keys('*')).map(key => client.call('MEMORY', 'USAGE', key) as Promise<number>))
  expect(facts.bytes).toBe(each.reduce((sum, bytes) => sum + bytes, 0))
  expect(faults).toEqual([])
})

describe('times to live against what is promised', () => {
  test('are told by rule with how many break it, and some of their names', async () => {
    const { server, client } = await aServer()
    await fill(client, 90, `redis.call('SET', 'session:' .. i, 'x', 'EX', 3600)`)
    await fill(client, 7, `redis.call('SET', 'session:forgotten' .. i, 'x')`)
    await fill(client, 3, `redis.call('SET', 'session:long' .. i, 'x', 'EX', 8640000)`)
    await fill(client, 20, `redis.call('SET', 'lasting:' .. i, 'x')`)
    const keys = { sessions: { prefix: 'session:', ttl: '7d' }, lasting: { prefix: 'lasting:', ttl: 'none' } }
    const { facts, words } = await review(server.url, { params: quick, keys })
    expect(facts.retention.map(({ name, promised, keys, withoutTtl, over }) => [name, promised, keys.n, withoutTtl.n, over.n])).toEqual([
      ['sessions', '7d', 100, 7, 3],
      ['lasting', 'none', 20, 0, 0],
    ])
    expect(words).toEqual(['warning ttl sessions: of 100 keys session:* 7 have no end, 3 live for up to 99d 23h; promised is at most 7d'])
  })

  test('of a prefix of which nothing is promised: the few that were forgotten', async () => {
    const { server, client } = await aServer()
    await fill(client, 99, `redis.call('SET', 'otp:' .. i, 'x', 'EX', 60)`)
    await client.set('otp:for-ever', 'x')
    expect((await review(server.url, { params: quick })).words).toEqual([
      'info forgotten otp:: of 100 keys otp:* 1.0 % have no end, the others do',
    ])
  })
})

test('looking is no use of a key: neither its idle time nor its frequency moves, but for the large collections', async () => {
  const { server, client } = await aServer()
  await fill(client, 200, `redis.call('SET', 's:' .. i, i) redis.call('HSET', 'h:' .. i, 'a', i)`)
  const idle = async () =>
    Math.min(...(await Promise.all(['s:1', 'h:1', 's:200', 'h:200'].map(key => client.call('OBJECT', 'IDLETIME', key) as Promise<number>))))
  await expect.poll(idle, { timeout: 10_000 }).toBeGreaterThanOrEqual(2)
  await review(server.url, { params: quick })
  expect(await idle()).toBeGreaterThanOrEqual(2)
})

test('hot keys are told where an LFU policy counts uses', async () => {
  const { server, client } = await aServer({ maxmemoryPolicy: 'allkeys-lfu' })
  await fill(client, 100, `redis.call('SET', 'k:' .. i, i)`)
  for (let n = 0; n < 2_000; n++) void client.get('k:42')
  await client.get('k:42')
  const { facts } = await review(server.url, { params: quick })
  expect([facts.policy, facts.hottest?.[0]?.key, facts.hottest![0]!.frequency > facts.hottest![1]!.frequency]).toEqual([
    'allkeys-lfu',
    'k:42',
    true,
  ])
})

test('names of any bytes are shown, and counted where they belong', async () => {
  const { server, client } = await aServer()
  const names = [
    Buffer.from([0x62, 0x3a, 0xff, 0x00, 0xfe]),
    Buffer.from('세션:가'),
    Buffer.from('line\nbreak\u0007'),
    Buffer.alloc(3_000, 'n'),
  ]
  for (const [i, name] of names.entries()) await client.set(name, 'x'.repeat(10_000 * (4 - i)))
  const { facts } = await review(server.url, { params: quick })
  expect([facts.largest.map(({ key }) => key), facts.prefixes.map(({ prefix, keys }) => `${prefix} ${keys.n}`).toSorted()]).toEqual([
    ['b:\\xff\\x00\\xfe', '세션:가', 'line\\x0abreak\\x07', `${'n'.repeat(120)}…`],
    [' 2', 'b: 1', '세션: 1'],
  ])
})

test('ten thousand prefixes become a few, and those that matter stay', async () => {
  const { server, client } = await aServer()
  await fill(
    client,
    10_000,
    `redis.call('SET', 'p' .. string.char(97 + i % 26, 97 + math.floor(i / 26) % 26, 97 + math.floor(i / 676)) .. ':x', i)`,
  )
  await fill(client, 20_000, `redis.call('SET', 'cache:' .. i, i)`)
  const { facts } = await review(server.url, { params: quick })
  const of = (prefix: string) => facts.prefixes.find(one => one.prefix === prefix)?.keys.n ?? 0
  expect([facts.prefixes.length + facts.others.prefixes <= 150, of('cache:'), of('*:') > 9_000, facts.seen]).toEqual([
    true,
    20_000,
    true,
    30_000,
  ])
})

test('a hash of a million fields is looked at and found, and the server is not stopped by it', async () => {
  const { server, client } = await aServer()
  for (let from = 0; from < 10; from++) await fill(client, 100_000, `redis.call('HSET', 'big', 'f' .. (i + ${from * 100_000}), i)`)
  await client.call('CONFIG', 'SET', 'slowlog-log-slower-than', '20000')
  await client.call('SLOWLOG', 'RESET')
  const { words } = await review(server.url, { params: quick })
  expect([words, await client.call('SLOWLOG', 'GET')]).toEqual([
    [expect.stringMatching(/^warning big big: the hash big takes \d+\.\d MiB with 1,000,000 elements$/)],
    [],
  ])
})

test('keys of another logical database are said to be there', async () => {
  const { server, client } = await aServer()
  await client.set('a', 1)
  await client.select(3)
  await client.set('b', 1)
  expect((await review(server.url, { params: quick })).words).toEqual([
    'info databases: 1 keys are in other logical databases, which were not looked at',
  ])
})

test('what grew since the last review is told', async () => {
  const { server, client } = await aServer()
  await fill(client, 1_000, `redis.call('SET', 'doc:' .. i, string.rep('x', 1000))`)
  const first = await review(server.url, { params: quick })
  for (let from = 1; from <= 8; from++)
    await fill(client, 10_000, `redis.call('SET', 'doc:' .. (i + ${from * 10_000}), string.rep('x', 1000))`)
  const { facts, words } = await review(server.url, { params: quick, last: { at: new Date('2026-01-01'), result: first.facts } })
  expect([facts.prefixes[0]!.growth?.keys, words]).toEqual([
    80_000,
    [expect.stringMatching(/^warning growth doc:: doc:\* grew by \d+\.\d MiB to \d+\.\d MiB since 2026-01-01, by 80,000 keys$/)],
  ])
})

describe('a review that is cut short', () => {
  test('by its budget says how far off it may be, and the truth is within', async () => {
    const { server, client } = await aServer()
    await fill(client, 200_000, `redis.call('SET', 'k:' .. i, string.rep('x', i % 300))`)
    const { facts, lines } = await review(server.url, { params: { share: 5, budget: '300ms' } })
    const [only] = facts.prefixes
    expect([facts.complete, facts.stopped, facts.seen < 200_000, lines[0]]).toEqual([
      false,
      'budget',
      true,
      expect.stringMatching(/^the budget of 300ms is over after/),
    ])
    expect([only!.keys.low <= 200_000, only!.keys.high >= 200_000]).toEqual([true, true])
  })

  test('in the middle, by the end of its process, goes on from what it saved', async () => {
    const { server, client } = await aServer()
    await fill(client, 250_000, `redis.call('SET', (i % 2 == 0 and 'even:' or 'odd:') .. i, i)`)
    const abort = new AbortController()
    let saved: unknown
    const cut = review(server.url, {
      signal: abort.signal,
      params: quick,
      save: async state => {
        saved = JSON.parse(JSON.stringify(keyReview.state.parse(state)))
        abort.abort()
      },
    })
    await expect(cut).rejects.toThrow()
    const { facts } = await review(server.url, { params: quick, state: saved })
    const by = Object.fromEntries(facts.prefixes.map(({ prefix, keys }) => [prefix, keys.n]))
    expect([by, facts.complete]).toEqual([{ 'even:': 125_000, 'odd:': 125_000 }, true])
  })

  test.each([
    ['a restart of the server', { server: 'another', rules: '[]' }],
    ['another promise', { rules: '["another"]' }],
  ])('by %s begins anew', async (_, other) => {
    const { server, client } = await aServer()
    await fill(client, 1_000, `redis.call('SET', 'k:' .. i, i)`)
    const here = /run_id:(\w+)/.exec(await client.info('server'))![1]!
    const { lines, facts } = await review(server.url, {
      params: quick,
      state: { server: here, cursor: '123', spentMs: 5, tally: '', ...other },
    })
    expect([lines[0], facts.seen]).toEqual([expect.stringMatching(/^the server was restarted or replaced/), 1_000])
  })
})

test('a sample is within the error that it states, in 20 of 20 over different data', { timeout: 120_000 }, async () => {
  const { server, client } = await aServer()
  const missed: unknown[] = []
  for (let turn = 0; turn < 20; turn++) {
    await client.flushall()
    // Sizes of a long tail, shares from a half to a five-hundredth, none the same from turn to turn.
    await client.eval(
      `math.randomseed(ARGV[1])
      for i = 1, 40000 do
        local r = math.random()
        local p = r < 0.5 and 'a:' or r < 0.8 and 'b:' or r < 0.95 and 'c:' or r < 0.998 and 'd:' or 'e:'
        redis.call('SET', p .. i, string.rep('x', math.floor(math.exp(3 + 1.2 * math.sqrt(-2 * math.log(1 - math.random())) * math.cos(6.2831853 * math.random())))))
      end`,
      0,
      turn + 1,
    )
    const { facts: all } = await review(server.url, { params: quick })
    const { facts: part } = await review(server.url, { params: { ...quick, sample: 4_000 } })
    expect([part.stopped, part.seen >= 4_000, part.seen < 8_000]).toEqual(['sample', true, true])
    for (const one of part.prefixes) {
      const true_ = all.prefixes.find(({ prefix }) => prefix === one.prefix)!
      if (true_.keys.n < one.keys.low || true_.keys.n > one.keys.high) missed.push([turn, one.prefix, true_.keys.n, one.keys])
      if (one.bytesError !== null && Math.abs(true_.bytes - one.bytes) > one.bytesError) missed.push([turn, one.prefix, true_.bytes, one])
    }
    if (Math.abs(all.bytes - part.bytes) > part.bytesError!) missed.push([turn, all.bytes, part.bytes, part.bytesError])
  }
  expect(missed).toEqual([])
})

test('a user that may not look is told what it lacks', async () => {
  const { server, client } = await aServer()
  await client.set('a', 1)
  await client.call(
    'ACL',
    'SETUSER',
    'looker',
    'on',
    '>secret',
    'resetkeys',
    '%R~*',
    '-@all',
    '+ping',
    '+info',
    '+dbsize',
    '+scan',
    '+client|setname',
  )
  const url = new URL(server.url)
  Object.assign(url, { username: 'looker', password: 'secret' })
  await expect(review(url.href, { params: quick })).rejects.toMatchObject({ code: 'NOPERM', hint: expect.stringContaining('+eval_ro') })
})
