// Every fault of the chaos run does what its name says, and what it did is over when it is: a run without effect would find every installation sound.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { applyFault, type Fault, faultKinds, type Kind } from '@dbops/testing/chaos/faults'
import type { ServerName } from '@dbops/testing/chaos/ground'
import { type Installation, removeLeftOver, startInstallation } from '@dbops/testing/chaos/installation'
import { everyReady } from '@dbops/testing/chaos/run-chaos'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let at: Installation
let ledger: Ledger
let store: string
beforeAll(async () => {
  at = await startInstallation({ say: () => undefined })
  ledger = await openLedger({ url: at.ledgerUrl, name: 'test', sessions: 2 })
  store = (await at.sources()).stores['main']!
  await ready()
}, 90_000)
afterAll(async () => {
  await ledger?.close()
  await at?.[Symbol.asyncDispose]()
})

const who = 'redis-inspector-1'
const victim = () => at.processes.find(one => one.name === who)!
const stateOf = (pid: number | null) => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]![0]
const onLedger = async <T>(sql: string) => (await ledger.query<T & object>(sql)).rows[0] as T
const ready = () => until('every service is ready', () => everyReady(ledger), { within: 60_000, every: 100 })
const beat = async () =>
  (await onLedger<{ at: Date }>(`select max(seen_at) as at from services where app = 'redis-inspector'`)).at.getTime()
/** A session of our own by the way that the fault is on. */
async function sessionBy(server: ServerName) {
  const client = new Client({ connectionString: victim().proxy(server)!.url })
  const one = { client, broken: false }
  client.on('error', () => (one.broken = true))
  await client.connect()
  return one
}
const answers = (client: Client, within: number) =>
  Promise.race([
    client.query('select 1').then(
      () => true,
      () => false,
    ),
    sleep(within, false),
  ])
const bullKey = '{dbops}:pg-light:00000000-0000-7000-8000-000000000000-1'
const startedAt = async () => (await onLedger<{ at: Date }>('select pg_postmaster_start_time() as at')).at.getTime()
const redisId = async () => /run_id:(\w+)/.exec(await at.redisClient.info('server'))?.[1]
const logOf = (name: string) => readFileSync(join(at.folder, `${name}.log`), 'utf8')

interface Trial {
  with?: Fault['with']
  server?: ServerName
  lasts: number
  /** Before it; what it gives is given to the others. */
  before?: () => unknown
  during?: (before: never) => unknown
  after: (before: never) => unknown
}
const trial = <T>(
  one: { before: () => Promise<T> | T; during?: (before: T) => unknown; after: (before: T) => unknown } & Omit<
    Trial,
    'before' | 'during' | 'after'
  >,
) => one as unknown as Trial

const pidOf = () => until('it runs', () => victim().pid)
const isAnother = (before: number) => until('another process is there', () => victim().pid && victim().pid !== before, { within: 20_000 })
const stopped = (lasts: number): Trial =>
  trial({
    lasts,
    before: pidOf,
    during: pid => until('it stands still', () => stateOf(pid) === 'T'),
    after: pid => expect(stateOf(pid)).not.toBe('T'),
  })
const silent = (lasts: number, server?: ServerName): Trial =>
  trial({
    lasts,
    server,
    before: beat,
    during: async () => {
      await sleep(lasts / 2)
      const then = await beat()
      await sleep(1_000)
      expect(await beat()).toBe(then)
    },
    after: before => until('it is heard again', async () => (await beat()) > before, { within: 20_000 }),
  })
const redisAway = (what: { kept: boolean }): Trial =>
  trial({
    lasts: 1_000,
    before: async () => {
      await at.redisClient.set('mark', '1')
      await sleep(1_500) // appendfsync everysec
      return redisId()
    },
    after: before =>
      until('another Redis is there', async () => {
        const id = await redisId()
        return id && id !== before && (await at.redisClient.exists('mark')) === Number(what.kept)
      }),
  })
const ledgerAway = (lasts: number): Trial =>
  trial({
    lasts,
    before: startedAt,
    during: () =>
      until(
        'nobody is let in',
        () =>
          onLedger('select 1').then(
            () => false,
            () => true,
          ),
        { every: 5 },
      ),
    after: async before => expect(await until('it is back', startedAt)).toBeGreaterThan(before),
  })

const trials: Record<Kind, Trial> = {
  kill: trial({
    lasts: 0,
    before: pidOf,
    after: async pid => {
      await isAnother(pid)
      expect(victim().ends.at(-1)).toContain('SIGKILL')
    },
  }),
  'stop-long': stopped(1_500),
  'stop-short': stopped(600),
  restart: trial({
    lasts: 0,
    before: pidOf,
    after: async pid => {
      await isAnother(pid)
      expect(victim().ends.at(-1)).not.toContain('SIG')
    },
  }),
  'restart-all': trial({
    lasts: 0,
    before: () => at.processes.map(one => one.pid),
    after: before => until('all are others', () => at.processes.every(({ pid }, i) => pid && pid !== before[i]), { within: 20_000 }),
  }),
  'other-version': trial({
    lasts: 8_000,
    before: pidOf,
    during: () =>
      until(
        'two catalogues are at work',
        async () =>
          (
            await onLedger<{ n: number }>(
              `select count(distinct catalog_hash)::int as n from services where seen_at > now() - interval '1 s'`,
            )
          ).n === 2,
        { within: 8_000 },
      ),
    after: () =>
      until(
        'one catalogue is at work',
        async () =>
          (
            await onLedger<{ n: number }>(
              `select count(distinct catalog_hash)::int as n from services where seen_at > now() - interval '1 s'`,
            )
          ).n === 1,
        { within: 20_000 },
      ),
  }),
  cut: trial({
    server: 'ledger',
    lasts: 0,
    before: () => sessionBy('ledger'),
    after: async one => {
      await until('the session is broken', () => one.broken)
      expect(await beat()).toBeGreaterThan(0)
    },
  }),
  forget: trial({
    server: 'ledger',
    lasts: 0,
    before: () => sessionBy('ledger'),
    after: async one => {
      expect([await answers(one.client, 700), one.broken]).toEqual([false, false])
      const other = await sessionBy('ledger')
      expect(await answers(other.client, 2_000)).toBe(true)
      await other.client.end()
      one.client.connection.stream.destroy()
    },
  }),
  'black-hole': silent(4_000, 'ledger'),
  partition: silent(9_000),
  'reader-sleeps': trial({
    lasts: 12_000, // long enough for more to come into the stream, on a slow machine too
    before: async () => (await at.sources()).readers['reporting']!.length,
    during: async () => {
      await sleep(500)
      const [seen, length] = [(await at.sources()).readers['reporting']!.length, await at.redisClient.xlen('dbops:events')]
      await until('more is in the stream', async () => (await at.redisClient.xlen('dbops:events')) > length + 2)
      expect((await at.sources()).readers['reporting']!.length).toBe(seen)
    },
    after: before => until('it reads on', async () => (await at.sources()).readers['reporting']!.length > before),
  }),
  delay: trial({
    server: 'ledger',
    with: 400,
    lasts: 3_000,
    before: () => sessionBy('ledger'),
    during: async one => expect(await answers(one.client, 700)).toBe(false),
    after: async one => {
      await until('it is quick again', () => answers(one.client, 300))
      await one.client.end()
    },
  }),
  'lost-reply': trial({
    server: 'ledger',
    with: 'a word of our own',
    lasts: 2_000,
    before: () => sessionBy('ledger'),
    during: async one => {
      await expect(one.client.query(`select set_config('application_name', 'a word of our own', false)`)).rejects.toThrow(
        /terminated|ended|closed/,
      )
    },
    after: async () => {
      const other = await sessionBy('ledger')
      await other.client.query(`select 'a word of our own'`)
      await other.client.end()
    },
  }),
  flushall: trial({
    lasts: 0,
    before: () => at.redisClient.set('mark', '1'),
    after: async () => expect(await at.redisClient.exists('mark')).toBe(0),
  }),
  'redis-restarted': redisAway({ kept: true }),
  'redis-killed': redisAway({ kept: true }),
  'redis-empty': redisAway({ kept: false }),
  'redis-older': trial({
    lasts: 3_000,
    before: async () => {
      await at.redisClient.del('mark', 'later')
      await at.redisClient.set('mark', '1')
      await sleep(1_500)
    },
    during: async () => {
      await sleep(500)
      await at.redisClient.set('later', '1')
    },
    after: () =>
      until(
        'only what was there at first is there',
        async () => (await at.redisClient.exists('mark')) === 1 && (await at.redisClient.exists('later')) === 0,
      ),
  }),
  'ledger-restarted': ledgerAway(500),
  'ledger-crashed': ledgerAway(500),
  'ledger-away': ledgerAway(3_000),
  'store-full': trial({
    lasts: 2_000,
    before: () => join(store, 'a-file'),
    during: file =>
      until('there is no room', () => /ENOSPC/.test(errorOf(() => writeFileSync(file, Buffer.alloc(1 << 20)))), { every: 100 }),
    after: file => writeFileSync(file, Buffer.alloc(1 << 20)),
  }),
  clock: trial({
    with: 3_600_000,
    lasts: 5_000,
    before: () => logOf('pg-maintainer-1').length,
    during: before =>
      until('it lives an hour later', () => timesIn(logOf('pg-maintainer-1').slice(before)).some(ms => ms > Date.now() + 3_500_000), {
        within: 5_000,
      }),
    after: async () => {
      const from = logOf('pg-maintainer-1').length
      const [time] = await until('it says something', () => {
        const times = timesIn(logOf('pg-maintainer-1').slice(from))
        return times.length ? times : undefined
      })
      expect(Math.abs(time! - Date.now())).toBeLessThan(20_000)
    },
  }),
  'job-deleted': trial({
    with: 'jobs',
    lasts: 0,
    before: () => at.redisClient.hset(bullKey, 'a', '1'),
    after: async () => expect(await at.redisClient.exists(bullKey)).toBe(0),
  }),
  duplicate: trial({
    lasts: 0,
    before: () => undefined,
    after: async () => {
      const bodies = (await at.redisClient.xrange('dbops:events', '-', '+')).map(([, fields]) => fields.join())
      expect(bodies.length - new Set(bodies).size).toBeGreaterThan(0)
    },
  }),
  poison: trial({
    with: 'no JSON',
    lasts: 0,
    before: () => at.poison.length,
    after: async before => {
      const last = at.poison.at(-1)!
      const [entry] = await at.redisClient.xrange(last.stream, last.entryId, last.entryId)
      expect([at.poison.length - before, entry?.[1]]).toEqual([1, ['ce', '{"id": ']])
    },
  }),
  sink: trial({
    with: 'limiting',
    lasts: 1_500,
    before: async () => (await at.sources()) && sinkUrl(),
    during: url => until('it is limiting', async () => (await post(url)) === 429),
    after: async url => expect(await post(url)).toBe(204),
  }),
}
const sinkUrl = () =>
  /SINK_URL=(\S+?)\0/.exec(readFileSync(`/proc/${at.processes.find(({ app }) => app === 'alert-relay')!.pid}/environ`, 'utf8'))![1]!
const post = async (url: string) => (await fetch(url, { method: 'POST', body: '{}' })).status
const errorOf = (act: () => unknown) => {
  try {
    act()
    return ''
  } catch (error) {
    return String(error)
  }
}
const timesIn = (log: string) =>
  [...log.matchAll(/"time":"?([^",}]+)/g)].map(([, time]) => (Number(time) ? Number(time) : Date.parse(time!)))

describe('a fault', () => {
  test.each(faultKinds.map(kind => [kind] as const))(
    '%s does what it says, and is over when it is over',
    { timeout: 60_000 },
    async kind => {
      await ready()
      const one = trials[kind]
      if (at.missing.some(missing => missing.kind === kind)) throw new Error(`cannot be had here: ${at.missing[0]!.why}`)
      const before = (await one.before?.()) as never
      const name = kind === 'clock' ? 'pg-maintainer-1' : who
      const going = applyFault({ kind, at: 0, lasts: one.lasts, who: name, server: one.server, with: one.with }, at)
      await one.during?.(before)
      await going
      await one.after(before)
    },
  )

  test('that outlived its run, which was killed, is removed by the next run: the file system and the files', () => {
    const { pid } = spawnSync('true')
    const leftOver = join(tmpdir(), `dbops-chaos-run-${pid}-x`)
    mkdirSync(join(leftOver, 'disk'), { recursive: true })
    const isMounted = () => readFileSync('/proc/mounts', 'utf8').includes(leftOver)
    const mounted = spawnSync('mount', ['-t', 'tmpfs', 'left-over', join(leftOver, 'disk')]).status === 0
    const before = isMounted()
    removeLeftOver()
    expect([before, isMounted(), existsSync(leftOver), existsSync(join(at.folder, 'disk'))]).toEqual([mounted, false, false, true])
  })
})
