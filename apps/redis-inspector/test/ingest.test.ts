// Reading a stream of the platform: a real Redis that loses groups, streams and everything, and a real ledger that has each event once.
import { configFile, ingest, type RedisTarget, redisTarget } from '@dbops/contract/config-file'
import { ingestPosition } from '@dbops/ledger/ingest'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { openMetrics } from '@dbops/runtime/metrics'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { aLook } from '@dbops/testing/a-look'
import { freshDatabase } from '@dbops/testing/database'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readStream } from '../src/ingest/read-stream.ts'
import probe from '../src/probes/ingest.ts'
import { redis as driver } from '../src/redis.ts'

const stream = 'axiom:events'
const group = 'dbops'
let server: Server
let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
let redis: Redis
let lines: { event: string; kind?: string; code?: string }[]
let metrics: ReturnType<typeof openMetrics>
const readers: { abort: AbortController; done: Promise<void> }[] = []

beforeEach(async () => {
  server = await startRedis({ settings: { maxmemory: '64mb', maxmemoryPolicy: 'allkeys-lru' } })
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  redis = new Redis(server.url)
  lines = []
  metrics = openMetrics('test')
})
afterEach(async () => {
  await stop()
  redis.disconnect()
  await ledger.close()
  await database.drop()
  await server.stop()
})

describe('a stream that is read for the first time', () => {
  test('is read from there on: what lies in it is history', async () => {
    await say(50)
    read()
    await ready()
    const fresh = await say(3)
    expect([await told(3), fresh.length]).toEqual([fresh, 3])
  })

  test('that is not there is waited for in one line and one finding, is never made by us, and is read from its beginning when it comes', async () => {
    read()
    await until('it was looked for', () => lines.some(({ code }) => code === 'stream_missing'))
    const found = await findings()
    const made = await redis.exists(stream)
    const early = await say(2)
    expect([await told(2), made, found, lines.filter(({ event }) => event === 'ingest_waits').length, await findings()]).toEqual([
      early,
      0,
      ['axiom-events:missing'],
      1,
      [],
    ])
  })

  test('is something else than a stream: that is said once, and mended when it is one', async () => {
    await redis.set(stream, 'x')
    read()
    await until('it was looked at', () => lines.some(({ code }) => code === 'no_stream'))
    await redis.del(stream)
    const fresh = await say(1)
    expect(await told(1)).toEqual(fresh)
  })
})

describe('nothing is lost and nothing is told twice', () => {
  test('when the group is destroyed', async () => {
    const first = await begin(3)
    await redis.xgroup('DESTROY', stream, group)
    const second = await say(3)
    expect(await told(6)).toEqual([...first, ...second])
  })

  test('when the group is destroyed while nobody reads, and somebody made it anew at the end', async () => {
    const first = await begin(3)
    await stop()
    await redis.xgroup('DESTROY', stream, group)
    const second = await say(3)
    await redis.xgroup('CREATE', stream, group, '$')
    read()
    expect(await told(6)).toEqual([...first, ...second])
  })

  test('when everything in Redis is deleted', async () => {
    const first = await begin(3)
    await redis.flushall()
    const second = await say(3)
    expect(await told(6)).toEqual([...first, ...second])
  })

  test('when the stream comes back with lower ids', async () => {
    const first = await begin(3)
    await redis.flushall()
    const id = await say(1, '5-1')
    expect(await told(4)).toEqual([...first, ...id])
  })

  test('when connections are cut again and again, with two readers', async () => {
    read('b')
    const first = await begin(1)
    const sent = [...first]
    for (let n = 0; n < 40; n++) {
      sent.push(...(await say(1)))
      if (n % 10 === 5) for (const id of await clients()) await redis.call('CLIENT', 'KILL', 'ID', id)
    }
    expect((await told(41)).toSorted()).toEqual(sent.toSorted())
  })

  test('when the ledger ends its sessions again and again', async () => {
    read('b')
    await begin(1)
    const admin = new Client(database.url)
    await admin.connect()
    const pipeline = redis.pipeline()
    for (let n = 0; n < 2_000; n++) pipeline.xadd(stream, '*', 'event_type', 'data_registered', 'payload', `{"n":"l${n}"}`)
    await pipeline.exec()
    for (let n = 0; n < 3; n++) {
      await until('some more are told', async () => (await admin.query(`select from dbops.outbox offset ${n * 500 + 50} limit 1`)).rowCount)
      await admin.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'dbops:test' and datname = current_database()`,
      )
    }
    await admin.end()
    await until('the ledger is back', () => told(2_001))
    await until('nothing is pending', async () => ((await redis.xpending(stream, group)) as [number])[0] === 0, { within: 20_000 })
    expect([(await outbox()).length, new Set(await outbox()).size]).toEqual([2_001, 2_001])
  })

  test('when an entry was delivered to a reader that is gone', async () => {
    const first = await begin(1)
    await stop()
    const second = await say(3)
    await redis.xreadgroup('GROUP', group, 'redis-inspector@gone:1', 'COUNT', 2, 'STREAMS', stream, '>')
    read('b')
    const all = await told(4)
    await until('the place is recorded', async () => (await place()) === (await ids(second)).at(-1))
    expect(all.toSorted()).toEqual([...first, ...second].toSorted())
  })

  test('when pending entries were trimmed: they are acknowledged and counted', async () => {
    await begin(1)
    await stop()
    await say(3)
    await redis.xreadgroup('GROUP', group, 'redis-inspector@test', 'COUNT', 3, 'STREAMS', stream, '>')
    await redis.xtrim(stream, 'MAXLEN', 0)
    read()
    await until('nothing is pending', async () => ((await redis.xpending(stream, group)) as [number])[0] === 0)
    expect(await counted()).toEqual({ kept: 1, trimmed: 3 })
  })

  test('when an entry comes again after its event has left the outbox', async () => {
    await begin(2)
    await ledger.query('delete from outbox')
    await stop()
    await redis.xgroup('SETID', stream, group, '0')
    read()
    await say(1)
    expect((await told(1)).length).toBe(1)
  })

  test('when the publisher sends an event twice', async () => {
    await begin(1)
    const id = '0198c7d2-7c6b-7d2c-8a44-3a2f6f3f0a01'
    for (let n = 0; n < 3; n++) await redis.xadd(stream, '*', 'event_type', 'data_registered', 'event_id', id, 'payload', '{"n":"twice"}')
    await say(1)
    await told(3)
    expect((await outbox()).filter(n => n === 'twice').length).toBe(1)
  })

  test('while a pending entry of another reader lies below, the position stays below it', async () => {
    await begin(1)
    await stop()
    const [low] = await ids(await say(1))
    await redis.xreadgroup('GROUP', group, 'other', 'COUNT', 1, 'STREAMS', stream, '>')
    read()
    await say(2)
    await told(3)
    expect(order((await place())!) < order(low!)).toBe(true)
  })
})

describe('poison', () => {
  test('of every kind stops nobody: each is set aside and acknowledged, one finding and one line a kind', async () => {
    await begin(1)
    for (let n = 0; n < 30; n++) {
      await redis.xadd(stream, '*', 'payload', '{}')
      await redis.xadd(stream, '*', 'event_type', 'data_registered', 'payload', '{')
      await redis.xadd(stream, '*', 'event_type', 'db_query_slow', 'payload', '{}')
    }
    await redis.xadd(stream, '*', 'event_type', 'data_registered', 'payload', JSON.stringify({ a: 'x'.repeat(2 ** 21) }))
    await redis.xadd(stream, '*', 'event_type', Buffer.from([0, 255, 254]), 'payload', '{}')
    await say(1)
    await told(2)
    await until('all are acknowledged', async () => ((await redis.xpending(stream, group)) as [number])[0] === 0)
    const kinds = lines.flatMap(({ event, kind }) => (event === 'ingest_set_aside' ? [String(kind)] : [])).toSorted()
    expect([await counted(), kinds, (await findings()).toSorted()]).toEqual([
      { kept: 2, dead_letter: 91, passed_by: 1 },
      ['bad_data', 'bad_json', 'no_type', 'too_large'],
      ['axiom-events:bad_data', 'axiom-events:bad_json', 'axiom-events:no_type', 'axiom-events:too_large'],
    ])
  })

  test('that only the ledger refuses is set aside alone, and the rest of its batch is told', async () => {
    await ledger.query(
      `alter table outbox add constraint planted check (ce -> 'data' ->> 'n' is distinct from 'bad' or ('x' || (ce -> 'data' ->> 'n'))::int = 0)`,
    )
    await begin(1)
    await redis.xadd(stream, '*', 'event_type', 'data_registered', 'payload', '{"n":"bad"}')
    await say(2)
    await told(3)
    const { rows } = await ledger.query('select kind from ingest_dead_letters')
    expect(rows).toEqual([{ kind: 'not_storable' }])
  })

  test('in endless numbers keeps a thousand for a person to look at', async () => {
    await begin(1)
    const pipeline = redis.pipeline()
    for (let n = 0; n < 1_500; n++) pipeline.xadd(stream, '*', 'x', String(n))
    await pipeline.exec()
    await say(1)
    await told(2)
    const { rows } = await ledger.query<{ n: number }>('select count(*)::int as n from ingest_dead_letters')
    expect(rows).toEqual([{ n: 1_000 }])
  })
})

test('a storm of 5,000 entries is told whole, and a reading shows no lag after it', async () => {
  await begin(1)
  const pipeline = redis.pipeline()
  for (let n = 0; n < 5_000; n++) pipeline.xadd(stream, '*', 'event_type', 'data_registered', 'payload', `{"n":"storm ${n}"}`)
  await pipeline.exec()
  await told(5_001)
  expect((await look()).result).toMatchObject({ streams: [{ ingest: 'axiom-events', lagSeconds: 0, pending: 0 }] })
})

test('entries that were trimmed before they were read are a finding with their number', async () => {
  await begin(3)
  await stop()
  await say(20)
  await redis.xtrim(stream, 'MAXLEN', 5)
  await until('the loss can be told', async () => (await findings()).includes('axiom-events:lost'), { within: 2_000 })
})

test('a stream that nobody reads from one reading to the next is a finding, and it is gone when somebody does', async () => {
  await begin(1)
  await stop()
  await say(1)
  const first = await look()
  const second = await look(first.result)
  read()
  await told(2)
  const third = await look(second.result)
  expect([first.keys, second.keys, third.keys]).toEqual([[], ['axiom-events:unread'], []])
})

test('a user that may not read is told with the page that has its rights', async () => {
  await redis.xadd(stream, '*', 'event_type', 'case_opened')
  await redis.call('ACL', 'SETUSER', 'looker', 'on', '>geheim', 'resetkeys', '~*', '-@all', '+ping', '+client|setname', '+xinfo')
  const url = new URL(server.url)
  Object.assign(url, { username: 'looker', password: 'geheim' })
  read('a', url.href)
  const line = await until('it says so', () => lines.find(({ code }) => code === 'NOPERM'))
  expect(line).toMatchObject({ hint: 'docs/operate/ingest.md has the ACL of a user that may read a stream' })
})

test('a user with the rights that the documentation names, and no others, is enough', async () => {
  const rights =
    '-@all +ping +client|setname +info +xinfo +xreadgroup +xack +xautoclaim +xpending +xgroup|create +xgroup|setid +xgroup|delconsumer'
  await redis.call('ACL', 'SETUSER', 'ingest', 'on', '>geheim', 'resetkeys', `~${stream}`, ...rights.split(' '))
  const url = new URL(server.url)
  url.username = 'ingest'
  url.password = 'geheim'
  read('a', url.href)
  await until('it was looked for', () => lines.some(({ code }) => code === 'stream_missing'))
  const first = await say(2)
  await told(2)
  await redis.xgroup('DESTROY', stream, group)
  const second = await say(2)
  expect([await told(4), lines.filter(({ code }) => code === 'NOPERM')]).toEqual([[...first, ...second], []])
})

const config = ingest.parse({ target: 'cache', stream, keep: ['data_registered', 'db_query_slow'] })
const targetOf = (url: string): RedisTarget => redisTarget.parse({ engine: 'redis', url })

function read(consumer = 'test', url = server.url) {
  const abort = new AbortController()
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(JSON.parse(line) as never) })
  const done = readStream(
    {
      config: { ...configFile.parse({}), file: '', hash: '', lineOf: () => 1 },
      ledger,
      log,
      metrics,
      name: `redis-inspector@${consumer}`,
      signal: abort.signal,
      timers: { heartbeat: 100, lease: 400, reap: 100 },
    },
    { name: 'axiom-events', config, target: targetOf(url) },
    () => undefined,
  )
  readers.push({ abort, done })
}
async function stop() {
  for (const { abort } of readers) abort.abort()
  await Promise.all(readers.splice(0).map(({ done }) => done))
}
const ready = () => until('the group is there', async () => ((await redis.xinfo('GROUPS', stream)) as unknown[]).length > 0)

/** A reader on a stream that is there, and the first events through it. */
async function begin(events: number): Promise<string[]> {
  await redis.xadd(stream, '*', 'event_type', 'case_opened')
  if (!readers.length) read()
  else read('a')
  await ready()
  const sent = await say(events)
  await told(events)
  return sent
}
let said = 0
/** So many events; what tells them apart. */
async function say(events: number, id = '*'): Promise<string[]> {
  const sent = Array.from({ length: events }, () => `e${++said}`)
  for (const n of sent) await redis.xadd(stream, id, 'event_type', 'data_registered', 'payload', JSON.stringify({ n }))
  return sent
}
async function ids(sent: string[]): Promise<string[]> {
  const all = await redis.xrange(stream, '-', '+')
  return sent.map(n => all.find(([, fields]) => fields.join().includes(`"${n}"`))![0])
}
const place = () => ingestPosition(ledger, { name: 'axiom-events', target: 'cache', stream })
const order = (id: string) => BigInt(id.split('-')[0]!) * 2n ** 64n + BigInt(id.split('-')[1]!)
const outbox = async () =>
  (await ledger.query<{ n: string }>(`select ce -> 'data' ->> 'n' as n from outbox order by outbox.n`)).rows.map(row => row.n)
/** What is in the outbox once it has so many. */
async function told(events: number): Promise<string[]> {
  await until(`${events} events are in the outbox`, async () => (await outbox()).length >= events, { within: 20_000 })
  return outbox()
}
const clients = async (): Promise<string[]> =>
  [...((await redis.client('LIST')) as string).matchAll(/^id=(\d+) .*name=dbops:\w+:ingest/gm)].map(([, id]) => id!)
async function counted(): Promise<Record<string, number>> {
  const { values } = await metrics.counter('dbops_ingest_entries_total', '', ['entry', 'outcome']).get()
  return Object.fromEntries(
    values.filter(({ value }) => value).map(({ labels, value }) => [(labels as { outcome: string }).outcome, value]),
  )
}
type Result = Record<string, unknown>
async function look(before?: Result) {
  const target = { name: 'cache', environment: 'test', config: targetOf(server.url) }
  const signal = AbortSignal.timeout(5_000)
  const session = await driver.look(target, 'dbops:test:probe:redis.ingest', signal)
  const keys: string[] = []
  try {
    const base = aLook('cache', target.config, signal)
    const result = await probe.look({
      ...base,
      ledger,
      last: before ? { at: new Date(), result: before } : null,
      entries: { ...base.entries, ingest: { 'axiom-events': config } },
      find: ({ key }) => void keys.push(key),
      ...session.verbs,
    })
    return { result: probe.result.parse(result), keys }
  } finally {
    await session.close()
  }
}
const findings = async () => (await look()).keys
