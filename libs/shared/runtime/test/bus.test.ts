// The reader of the stream against a real Redis and a real ledger: once in effect, never stopped by what it reads.
import { setTimeout as sleep } from 'node:timers/promises'
import { deadLettersByReader, listDeadLetters, replay } from '@dbops/ledger/dead-letters'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import { consume, deadLetters, type Reader, stream } from '@dbops/runtime/bus'
import { openLog } from '@dbops/runtime/log'
import { openMetrics } from '@dbops/runtime/metrics'
import { blockingRedis, promptRedis } from '@dbops/runtime/redis'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { anEvent as event } from '@dbops/testing/an-event'
import { freshDatabase } from '@dbops/testing/database'
import { startProxy } from '@dbops/testing/proxy'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'

let server: Server
let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
let redis: Redis
let metrics: ReturnType<typeof openMetrics>
const readers: { abort: AbortController; done: Promise<void> }[] = []

beforeEach(async () => {
  server = await startRedis({ settings: { maxmemoryPolicy: 'noeviction' } })
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  await ledger.query('create table effects (event uuid, reader text)')
  redis = new Redis(server.url)
  metrics = openMetrics('test')
})
afterEach(async () => {
  for (const { abort } of readers) abort.abort()
  await Promise.all(readers.splice(0).map(reader => reader.done))
  redis.disconnect()
  await ledger.close()
  await database.drop()
  await server.stop()
})

test('each event takes effect once, also when the stream has it twice', async () => {
  const sent = [event(), event(), event()]
  for (const each of [...sent, sent[1]!]) await add(each)
  read('a')
  await acknowledged()
  expect(await effects()).toEqual(sent.map(each => each.id))
})

test('what is delivered by an answer that comes too late is handled when it has come, not when it is claimed after a minute', async () => {
  const proxy = await startProxy(server.url)
  try {
    read('a', undefined, undefined, proxy.url)
    await add(event())
    await acknowledged()
    proxy.freeze()
    await add(event())
    await sleep(5_500)
    proxy.thaw()
    await until('both are handled', async () => (await effects()).length === 2, { within: 15_000 })
  } finally {
    await proxy.close()
  }
})

test('two readers of one group share the work, and each event takes effect once', async () => {
  read('a')
  read('b')
  const sent = Array.from({ length: 200 }, event)
  for (const each of sent) await add(each)
  await acknowledged()
  expect((await effects()).toSorted()).toEqual(sent.map(each => each.id).toSorted())
})

test.each([
  ['no field "ce"', ['x', 'y'], 'it has no field "ce"'],
  ['no JSON', ['ce', '{'], 'its field "ce" is no JSON'],
  ['two megabytes', ['ce', JSON.stringify({ big: 'x'.repeat(2 * 1024 * 1024) })], 'it is larger than 1048576 bytes'],
  ['the wrong shape', ['ce', '{"id":7}'], 'it is no event: specversion: Invalid input: expected "1.0"'],
  ['bytes that are no text', ['ce', Buffer.from([0xff, 0x00, 0xfe])], 'its field "ce" is no JSON'],
])('poison with %s is set aside with its reason, and what follows is handled', async (_, fields, reason) => {
  await redis.xadd(stream, '*', ...(fields as [string, string]))
  const good = event()
  await add(good)
  read('a')
  await acknowledged()
  const dead = (await redis.xrange(deadLetters, '-', '+')).map(([, found]) => found[found.indexOf('reason') + 1])
  expect([dead, await effects()]).toEqual([[reason], [good.id]])
})

test('an event of a type that this version does not know is skipped and counted', async () => {
  await add({ ...event(), type: 'io.axiom.dbops.something_new.v1' })
  read('a')
  await acknowledged()
  expect([await redis.exists(deadLetters), await counted('unknown_type')]).toEqual([0, 1])
})

test('an event that is none of the reader’s business is acknowledged and leaves nothing in the inbox', async () => {
  const mine = event()
  const other = {
    ...event(),
    type: 'io.axiom.dbops.policy_violation.v1',
    data: { task: 'a.b', rule: 'c', reason: 'd', actor: 'e' },
  }
  for (const each of [other, mine]) await add(each)
  read('a', undefined, async signals => new Set(signals.filter(signal => signal === 'catalog_mismatch')))
  await acknowledged()
  const { rows } = await ledger.query<{ event: string }>('select event from inbox')
  expect([await effects(), rows, await counted('passed_by')]).toEqual([[mine.id], [{ event: mine.id }], 1])
})

test('what one reply brought takes effect in one transaction, and in its order, each event once', async () => {
  const sent = Array.from({ length: 40 }, event)
  for (const each of [...sent, ...sent.slice(0, 5)]) await add(each)
  read('a')
  await acknowledged()
  const { rows } = await ledger.query<{ n: number }>('select count(distinct xmin::text)::int as n from effects')
  expect([await effects(), rows[0]!.n, await counted('handled'), await counted('seen_before')]).toEqual([
    sent.map(({ id }) => id),
    1,
    40,
    5,
  ])
})

test('an id in capitals is an event as any other, and the same one in small letters is that one', async () => {
  const [loud, other] = [event(), event()]
  for (const each of [{ ...loud, id: loud.id.toUpperCase() }, other, loud]) await add(each)
  read('a')
  await acknowledged()
  expect([(await effects()).map(id => id.toLowerCase()), await counted('seen_before')]).toEqual([[loud.id, other.id], 1])
})

test('one that its handler cannot take holds up none of those that came with it', async () => {
  const sent = Array.from({ length: 20 }, event)
  for (const each of sent) await add(each)
  let failures = 3
  read('a', async ({ id }) => {
    if (id === sent[7]!.id && failures-- > 0) throw new Error('not today')
  })
  await acknowledged()
  const others = sent.filter((_, i) => i !== 7)
  expect([await effects(), await failuresCounted(), await counted('failed')]).toEqual([
    [...others, sent[7]!].map(({ id }) => id),
    0,
    2, // the first time it spoilt what was taken together: that is no failure of its own yet
  ])
})

test('a reader that is told to stop ends what it has in hand, and takes no more', async () => {
  const sent = Array.from({ length: 200 }, event)
  for (const each of sent) await add(each)
  let n = 0
  read('a', async () => {
    if (++n === 10) readers[0]!.abort.abort()
  })
  await readers[0]!.done
  const [group] = (await redis.xinfo('GROUPS', stream)) as unknown[][]
  const pending = group![group!.indexOf('pending') + 1]
  expect([await effects(), pending]).toEqual([sent.slice(0, 64).map(({ id }) => id), 0])
})

test('known data of the wrong shape is set aside', async () => {
  await add({ ...event(), data: { service: 7 } })
  read('a')
  await acknowledged()
  expect(await redis.xlen(deadLetters)).toBe(1)
})

test('a handler that fails for a while is tried again and takes effect once', async () => {
  const sent = event()
  let failures = 3
  read('a', async () => {
    if (failures-- > 0) throw new Error('not today')
  })
  await add(sent)
  await acknowledged()
  expect([await effects(), await redis.exists(deadLetters), await failuresCounted()]).toEqual([[sent.id], 0, 0])
})

test('what its handler never took is kept in the ledger with its reason, and goes out again for this reader alone', async () => {
  let broken = true
  const sent = event()
  await ledger.transaction(db => publish(db, [sent]))
  await ledger.query('update outbox set ord = 1, published_at = now()')
  await addBeforeTheLastTry(sent)
  read('a', async () => {
    if (broken) throw new Error('no such table')
  })
  await acknowledged()
  const [letter] = await listDeadLetters(ledger, { limit: 10 })
  const before = await effects()
  broken = false
  const replayed = await ledger.transaction(db => replay(db, letter!.id, 'anna'))
  const again = await ledger.transaction(db => replay(db, letter!.id, 'anna'))
  const { rows } = await ledger.query('select id from outbox where ord is null')
  // As the publisher does it, now that the row waits for it; and a second time, after a lost reply.
  for (let i = 0; i < 2; i++) await add(sent)
  await acknowledged()
  expect([
    letter!.reason,
    letter!.event,
    before,
    replayed,
    again,
    rows,
    await effects(),
    await listDeadLetters(ledger, { limit: 10 }),
  ]).toEqual(['its handler failed 10 times, last: no such table', sent.id, [], true, false, [{ id: sent.id }], [sent.id], []])
})

test('an event that the outbox has forgotten goes out again from what was kept of it', async () => {
  const sent = event()
  await addBeforeTheLastTry(sent)
  read('a', async () => {
    throw new Error('not today')
  })
  await acknowledged()
  const [letter] = await listDeadLetters(ledger, { limit: 10 })
  await ledger.transaction(db => replay(db, letter!.id, 'anna'))
  const { rows } = await ledger.query<{ ce: unknown }>('select ce from outbox where ord is null')
  expect(rows.map(({ ce }) => ce)).toEqual([JSON.parse(JSON.stringify(sent))])
})

test('what is no event is kept once, though its acknowledgement is lost, cannot go out again, and is counted for a day', async () => {
  const entry = await redis.xadd(stream, '*', 'ce', 'a\0b')
  await redis.xgroup('CREATE', stream, 'g', '0')
  for (let i = 0; i < 2; i++) {
    await redis.xgroup('SETID', stream, 'g', '0')
    read(`reader ${i}`)
    await acknowledged()
  }
  const letters = await listDeadLetters(ledger, { limit: 10 })
  const replayed = await ledger.transaction(db => replay(db, letters[0]!.id, 'anna'))
  const today = await deadLettersByReader(ledger)
  await ledger.query(`update dead_letters set at = now() - interval '25 hours'`)
  expect([letters.map(({ entry, ce }) => ({ entry, ce })), replayed, today, await deadLettersByReader(ledger)]).toEqual([
    [{ entry, ce: 'a\ufffdb' }],
    false,
    [{ reader: 'g', waiting: 1 }],
    [],
  ])
})

test('a Redis that goes away between an effect and its acknowledgement is no failure of the handler', async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const { promise: gone, resolve: go } = Promise.withResolvers<void>()
  read('a', async () => {
    begin()
    await gone
  })
  const sent = event()
  await add(sent)
  await begun
  for (const id of await clientIds()) await redis.call('CLIENT', 'KILL', 'ID', id)
  await redis.call('CLIENT', 'PAUSE', '300', 'ALL')
  go()
  await acknowledged()
  expect([await effects(), await failuresCounted(), await handledAs('failed')]).toEqual([[sent.id], 0, 0])
})

test('a connection that is cut again and again loses nothing and doubles nothing', async () => {
  read('a')
  read('b')
  const sent = Array.from({ length: 60 }, event)
  for (const [i, each] of sent.entries()) {
    await add(each)
    if (i % 10 === 5) for (const id of await clientIds()) await redis.call('CLIENT', 'KILL', 'ID', id)
  }
  await acknowledged()
  expect((await effects()).toSorted()).toEqual(sent.map(each => each.id).toSorted())
})

test('after a restart everything that was delivered and not acknowledged is handled at once, however much it is', async () => {
  const sent = Array.from({ length: 200 }, event)
  await redis.xgroup('CREATE', stream, 'g', '0', 'MKSTREAM')
  for (const each of sent) await add(each)
  await redis.xreadgroup('GROUP', 'g', 'a', 'COUNT', 200, 'STREAMS', stream, '>')
  read('a')
  await acknowledged()
  expect(await effects()).toEqual(sent.map(each => each.id))
})

test('a FLUSHALL loses the group, and the reader makes it again and reads on', async () => {
  read('a')
  const [before, after] = [event(), event()]
  await add(before)
  await acknowledged()
  await redis.flushall()
  await add(after)
  await until('the event after it took effect', async () => (await effects()).length === 2)
  expect(await effects()).toEqual([before.id, after.id])
})

test('a reader that is told to stop stops at once, not after its blocking read', async () => {
  read('a')
  await until('it reads', async () => (await redis.exists(stream)) && (await clientIds()).length > 0)
  const [reader] = readers
  const began = performance.now()
  reader!.abort.abort()
  await reader!.done
  expect(performance.now() - began).toBeLessThan(2_000)
})

function read(
  name: string,
  also: (one: { id: string }) => Promise<void> = async () => undefined,
  concerns?: Reader['concerns'],
  url = server.url,
) {
  const abort = new AbortController()
  const clients = [blockingRedis(url, `reader-${name}`), promptRedis(url, `reader-${name}`)] as const
  const done = consume({
    blocking: clients[0],
    prompt: clients[1],
    ledger,
    group: 'g',
    consumer: name,
    signal: abort.signal,
    log: openLog('cli', 'test', 'silent'),
    metrics,
    ...(concerns ? { concerns } : {}),
    handle: async (db, { id }) => {
      await also({ id })
      await db.query('insert into effects values ($1, $2)', [id, name])
    },
  }).finally(() => clients.forEach(client => client.disconnect()))
  readers.push({ abort, done })
}
const add = (each: unknown) => redis.xadd(stream, '*', 'ce', JSON.stringify(each))
/** Its handler has failed nine times, for minutes. */
const addBeforeTheLastTry = async (each: unknown) =>
  ledger.query(`insert into inbox_failures (consumer, entry, failures, error) values ('g', $1, 9, '{}')`, [await add(each)])
const failuresCounted = async () => (await ledger.query('select from inbox_failures')).rows.length
const handledAs = async (outcome: string) => {
  const counter = metrics.counter('dbops_events_handled_total', '', ['group', 'outcome'])
  return (await counter.get()).values.find(one => (one.labels as Record<string, unknown>)['outcome'] === outcome)?.value ?? 0
}
const effects = async (): Promise<string[]> =>
  (await ledger.query<{ event: string }>('select event from effects order by ctid')).rows.map(row => row.event)
/** Everything that is in the stream was delivered and is not pending. */
const acknowledged = () =>
  until(
    'everything is acknowledged',
    async () => {
      const [group] = (await redis.xinfo('GROUPS', stream)) as unknown[][]
      const info = Object.fromEntries(group!.flatMap((key, i) => (i % 2 ? [] : [[key, group![i + 1]]]))) as {
        pending: number
        'last-delivered-id': string
      }
      const [newest] = await redis.xrevrange(stream, '+', '-', 'COUNT', 1)
      return info.pending === 0 && info['last-delivered-id'] === newest![0]
    },
    { within: 30_000 },
  )
const clientIds = async (): Promise<string[]> =>
  ((await redis.client('LIST')) as string)
    .split('\n')
    .filter(line => line.includes('name=reader-'))
    .map(line => /^id=(\d+)/.exec(line)![1]!)
async function counted(outcome: string): Promise<number> {
  const { values } = await metrics.counter('dbops_events_handled_total', '', ['group', 'outcome']).get()
  return values.find(value => (value.labels as { outcome?: string }).outcome === outcome)?.value ?? 0
}
