// The stream takes entries of any bytes from whoever may write it. Each is an event, of a type that is unknown, or a dead letter in the ledger; nothing stays pending.
import { type Envelope, envelope, signalOf } from '@dbops/contract/envelope'
import { failureOf } from '@dbops/contract/failure'
import { signals } from '@dbops/contract/signals'
import { listDeadLetters } from '@dbops/ledger/dead-letters'
import { failed } from '@dbops/ledger/inbox'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { consume, stream } from '@dbops/runtime/bus'
import { openLog } from '@dbops/runtime/log'
import { openMetrics } from '@dbops/runtime/metrics'
import { blockingRedis, promptRedis } from '@dbops/runtime/redis'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { anEvent } from '@dbops/testing/an-event'
import { freshDatabase } from '@dbops/testing/database'
import { until } from '@dbops/testing/until'
import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'

let server: Server
let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
let redis: Redis
beforeAll(async () => {
  server = await startRedis({ settings: { maxmemoryPolicy: 'noeviction' } })
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  await ledger.query('create table effects (event uuid, ce jsonb)')
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await ledger.close()
  await database.drop()
  await server.stop()
})

const bytes = fc.uint8Array({ maxLength: 64 }).map(some => Buffer.from(some))
const text = fc.string({ unit: 'binary', maxLength: 32 })
const anyText = fc.oneof(text, fc.constantFrom('\0', 'a\0b', '\ud800', '\udc00\ud800', '__proto__', ''))
/** An event of which one part is anything at all. */
const almost = fc
  .tuple(fc.constantFrom(...Object.keys(anEvent()), 'more'), fc.oneof(fc.jsonValue(), anyText, fc.dictionary(anyText, anyText)))
  .map(([name, value]) => JSON.stringify({ ...anEvent(), [name]: value }))
const good = fc.constant(null).map(() => JSON.stringify(anEvent()))
const odd = anyText.map(theirs => JSON.stringify({ ...anEvent(), data: { service: 'a', mine: 'b', theirs } }))
const ofLater = fc.constant(null).map(() => JSON.stringify({ ...anEvent(), type: 'io.axiom.dbops.something_new.v1' }))
const value = fc.oneof(bytes, fc.json(), almost, odd, good, ofLater)
const fields = fc.oneof(
  { weight: 4, arbitrary: value.map(one => ['ce', one]) },
  { weight: 1, arbitrary: fc.array(bytes, { minLength: 2, maxLength: 6 }).map(all => (all.length % 2 ? all.slice(1) : all)) },
  { weight: 1, arbitrary: fc.tuple(bytes, bytes, value).map(([name, other, one]) => [name, other, 'ce', one]) },
)

test('entries of any bytes: each takes effect once, is skipped as of an unknown type, or is a dead letter, and nothing stays pending', async () => {
  const entries = fc.sample(fields, { numRuns: 1_500, seed: 7 })
  const pipeline = redis.pipeline()
  for (const entry of entries) pipeline.xadd(stream, '*', ...(entry as string[]))
  await pipeline.exec()
  // One that would hold up all behind it, whatever they are.
  const last = anEvent()
  await redis.xadd(stream, '*', 'ce', JSON.stringify(last))
  const { counted, stop } = read('all')
  await until('the last one took effect', async () => (await effects()).includes(last.id), { within: 30_000 })
  await until('nothing is pending', async () => ((await redis.xpending(stream, 'all')) as [number])[0] === 0)
  await stop()
  const letters = await listDeadLetters(ledger, { limit: 10_000 })
  const stored = await redis.xrange(stream, '-', '+')
  const expected = { effects: 0, dead: 0, unknown: 0 }
  for (const [, found] of stored) expected[kindOf(found)]++
  expect({
    effects: (await effects()).length,
    dead: letters.length,
    unknown: counted('unknown_type'),
    again: counted('failed'),
  }).toEqual({ ...expected, again: 0 })
  expect(Math.min(expected.effects, expected.dead, expected.unknown)).toBeGreaterThan(20)
}, 120_000)

test('a failure that quotes what no ledger can hold is counted like any other', async () => {
  expect(await failed(ledger, 'g', '1-1', failureOf(new Error('no such word: a\0b \ud800')))).toBe(1)
})

/** What the page of the contract says, without the reader's own code. */
function kindOf(found: string[]): 'effects' | 'dead' | 'unknown' {
  const at = found.findIndex((name, i) => i % 2 === 0 && name === 'ce')
  let event: Envelope
  try {
    const value: unknown = JSON.parse(found[at + 1] ?? '')
    if (unkeepable(value)) return 'dead'
    event = envelope.parse(value)
  } catch {
    return 'dead'
  }
  if (at < 0) return 'dead'
  const signal = signalOf(event.type)
  if (!signal) return 'unknown'
  return signals[signal].data.safeParse(event.data).success ? 'effects' : 'dead'
}
/** PostgreSQL has neither U+0000 nor half a surrogate pair in a jsonb. */
const unkeepable = (one: unknown): boolean =>
  typeof one === 'string'
    ? one.includes('\0') || !one.isWellFormed()
    : typeof one === 'object' && one !== null && Object.entries(one).flat().some(unkeepable)

function read(group: string) {
  const abort = new AbortController()
  const clients = [blockingRedis(server.url, group), promptRedis(server.url, group)] as const
  const metrics = openMetrics('test')
  const counts = new Map<string, number>()
  const done = consume({
    blocking: clients[0],
    prompt: clients[1],
    ledger,
    group,
    consumer: 'a',
    signal: abort.signal,
    log: openLog('cli', 'test', 'silent'),
    metrics,
    handle: async (db, event) => {
      await db.query('insert into effects values ($1, $2)', [event.id, event])
    },
  }).finally(() => clients.forEach(client => client.disconnect()))
  return {
    counted: (outcome: string) => counts.get(outcome) ?? 0,
    async stop() {
      abort.abort()
      await done
      const { values } = await metrics.counter('dbops_events_handled_total', '', ['group', 'outcome']).get()
      for (const one of values) counts.set((one.labels as { outcome: string }).outcome, one.value)
    },
  }
}
const effects = async (): Promise<string[]> =>
  (await ledger.query<{ event: string }>('select event from effects')).rows.map(row => row.event)
