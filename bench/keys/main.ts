// A review of all keys of a Redis beside `redis-cli --memkeys` and `--bigkeys`, which are two passes and know no prefixes: wall time, processor time of the server, what its other clients feel, and whether the same keys are named.
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { redisTarget } from '@dbops/contract/config-file'
import { startRedis } from '@dbops/servers/redis'
import { Redis } from 'ioredis'
import type { KeyFacts } from '../../apps/redis-inspector/src/keys/facts.ts'
import { redis as driver } from '../../apps/redis-inspector/src/redis.ts'
import keyReview from '../../apps/redis-inspector/src/tasks/key-review.ts'
import { cpuSeconds, forgetPeak, peakRss } from '../process-facts.ts'
import { machine, median, print, quantile, quick, type Row, say, versionOf } from '../report.ts'

const keys = quick ? 300_000 : 3_000_000
const pairs = quick ? 2 : 5
const sampled = 100_000

const begunAt = performance.now()
await using started = new AsyncDisposableStack()
const server = await startRedis({ settings: { save: '' } })
started.defer(() => server.stop())
const client = new Redis(server.url)
started.defer(() => client.disconnect())
const pid = Number(/process_id:(\d+)/.exec(await client.info('server'))![1])

say(`${keys} keys`)
const part = 50_000
for (let from = 0; from < keys; from += part)
  await client.eval(
    `math.randomseed(ARGV[1])
    for i = ARGV[1], ARGV[1] + ARGV[2] - 1 do
      local n = i % 10
      if n < 5 then redis.call('SET', 'cache:' .. (n < 3 and 'view' or 'llm') .. ':' .. i, string.rep('x', math.random(20, 300)), 'EX', 86400)
      elseif n < 7 then redis.call('HSET', 'session:' .. i, 'user', i, 'tenant', i % 50) redis.call('EXPIRE', 'session:' .. i, 604800)
      elseif n < 9 then redis.call('SET', 'event:processed:' .. i, 1, 'EX', 604800)
      else redis.call('ZADD', 'score:' .. (i % 50) .. ':' .. i, 1, 'a', 2, 'b') end
    end`,
    0,
    from,
    part,
  )
// Of each type one that is the largest, and one that has the most elements.
const big = quick ? 50_000 : 500_000
for (const [name, each] of [
  ['big:hash', `redis.call('HSET', 'big:hash', 'field' .. i, i)`],
  ['big:set', `redis.call('SADD', 'big:set', 'member' .. i)`],
  ['big:zset', `redis.call('ZADD', 'big:zset', i, 'member' .. i)`],
  ['big:list', `redis.call('RPUSH', 'big:list', 'entry' .. i)`],
] as const) {
  await client.eval(`for i = 1, ${big} do ${each} end`, 0)
  say(name)
}
await client.set('big:string', 'x'.repeat(20_000_000))
for (let n = 0; n < 2_000; n++) await client.xadd('big:stream', '*', 'n', n)

const clients = fork(join(import.meta.dirname, 'processes/neighbour.ts'), { env: { ...process.env, BENCH_URL: server.url } })
started.defer(() => void clients.kill())
await once(clients, 'message')
const felt = async (): Promise<number[]> => {
  clients.send('tell')
  const [done] = (await once(clients, 'message')) as [[number, number][]]
  return done.map(([, took]) => took)
}

interface Measured {
  seconds: number
  cpu: number
  p99: number
}
/** The neighbours' share of the server's time, per second, as it was while nobody looked. */
let idleCpu = 0
async function measure(work: () => Promise<unknown>): Promise<Measured> {
  await felt()
  const [cpu, at] = [cpuSeconds(pid), performance.now()]
  await work()
  const seconds = (performance.now() - at) / 1_000
  return { seconds, cpu: cpuSeconds(pid) - cpu - idleCpu * seconds, p99: quantile(await felt(), 0.99) }
}
const rest = async () => {
  const { seconds, cpu, p99 } = await measure(() => sleep(quick ? 3_000 : 10_000))
  idleCpu += cpu / seconds
  return p99
}

const config = redisTarget.parse({ engine: 'redis', url: server.url })
let facts: KeyFacts
async function review(params: Record<string, unknown>): Promise<void> {
  const signal = AbortSignal.timeout(600_000)
  const session = await driver.look({ name: 'bench', environment: 'bench', config }, 'dbops:bench:1:redis.key-review', signal)
  const c = {
    ...session.verbs,
    signal,
    params: keyReview.params.parse(params),
    target: { name: 'bench', config },
    last: async () => null,
    save: async () => undefined,
    found: async () => undefined,
    progress: () => undefined,
    log: () => undefined,
  }
  facts = keyReview.result.parse(await keyReview.run(c as never)) as KeyFacts
  await session.close()
}
const { port, password } = new URL(server.url)
const cli = async (mode: string): Promise<string[]> => {
  const { stdout } = await promisify(execFile)('redis-cli', ['-p', port, mode], {
    maxBuffer: 2 ** 28,
    env: { ...process.env, REDISCLI_AUTH: password },
  })
  return [...stdout.matchAll(/^Biggest\s+\w+ found '"?(.*?)"?' has (\d+)/gm)].flatMap(([, key, n]) => (n === '0' ? [] : [key!]))
}

const all = {
  idle: [] as number[],
  ours: [] as Measured[],
  gentle: [] as Measured[],
  sample: [] as Measured[],
  mem: [] as Measured[],
  bigs: [] as Measured[],
}
let named: string[] = []
forgetPeak(process.pid)
for (let pair = 0; pair < pairs; pair++) {
  say(`pair ${pair + 1} of ${pairs}`)
  all.idle.push(await rest())
  all.ours.push(await measure(() => review({ share: 100 })))
  all.mem.push(await measure(async () => (named = [...named, ...(await cli('--memkeys'))])))
  all.bigs.push(await measure(async () => (named = [...named, ...(await cli('--bigkeys'))])))
  all.sample.push(await measure(() => review({ sample: sampled })))
}
await review({ share: 100 })
const peak = peakRss(process.pid)
const ours = new Set([...facts!.largest, ...facts!.longest].map(({ key }) => key))
const missed = [...new Set(named)].filter(key => !ours.has(key))
for (let pair = 0; pair < (quick ? 1 : 2); pair++) all.gentle.push(await measure(() => review({})))

const pick = (some: Measured[], what: keyof Measured) => some.map(one => one[what])
const both = (what: 'seconds' | 'cpu') => all.mem.map((one, i) => one[what] + all.bigs[i]![what])
const over = (a: number[], b: number[]) => median(a.map((value, i) => value / b[i]!))
const rows: Row[] = [
  {
    what: `all ${keys} keys, as fast as it goes`,
    unit: 's',
    ours: pick(all.ours, 'seconds'),
    peer: pick(all.mem, 'seconds'),
    beside: '--memkeys',
    goal: '≤ 0.25 ×',
    met: over(pick(all.ours, 'seconds'), pick(all.mem, 'seconds')) <= 0.25,
  },
  {
    what: 'the same, beside both its passes',
    unit: 's',
    ours: pick(all.ours, 'seconds'),
    peer: both('seconds'),
    beside: '--memkeys and --bigkeys',
  },
  {
    what: 'processor time of the server',
    unit: 's',
    ours: pick(all.ours, 'cpu'),
    peer: pick(all.mem, 'cpu'),
    beside: '--memkeys',
    goal: '≤ 0.5 ×',
    met: over(pick(all.ours, 'cpu'), pick(all.mem, 'cpu')) <= 0.5,
  },
  {
    what: 'p99 of its other clients meanwhile',
    unit: 'ms',
    ours: pick(all.ours, 'p99'),
    peer: all.idle,
    beside: 'while nobody looks',
    goal: '≤ 1.25 ×',
    met: over(pick(all.ours, 'p99'), all.idle) <= 1.25,
  },
  { what: '… while redis-cli looks', unit: 'ms', ours: pick(all.mem, 'p99'), peer: all.idle, beside: 'while nobody looks' },
  {
    what: '… at the default share of 25 %',
    unit: 'ms',
    ours: pick(all.gentle, 'p99'),
    peer: all.idle.slice(0, all.gentle.length),
    beside: 'while nobody looks',
    goal: '≤ 1.25 ×',
    met: over(pick(all.gentle, 'p99'), all.idle) <= 1.25,
  },
  { what: 'all keys at the default share', unit: 's', ours: pick(all.gentle, 'seconds') },
  {
    what: `a sample of ${sampled} at the default share`,
    unit: 's',
    ours: pick(all.sample, 'seconds'),
    goal: '≤ 5 s',
    met: median(pick(all.sample, 'seconds')) <= 5,
  },
  { what: 'the process that reviews, at its peak', unit: 'MB', ours: [peak] },
]
print({
  area: 'keys',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node, Redis: versionOf('redis-server') },
  rows,
  notes: [
    `redis-cli named ${new Set(named).size} keys as the biggest of their type; ${missed.length ? `not in ours: ${missed.join(', ')}` : 'all of them are among ours'}`,
    'server, four clients at 100 reads and writes a second each, and the one that looks share this machine; one pass of ours has prefixes, times to live, encodings and both lists',
  ],
})
process.exit(0)
