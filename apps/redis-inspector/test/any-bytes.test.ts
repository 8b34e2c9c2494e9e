// A stream of the platform takes entries of any bytes from whoever may write it. Each is an event in the outbox, passed by, or a dead letter with its reason; the reader goes on.
import { configFile, ingest, redisTarget } from '@dbops/contract/config-file'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { openMetrics } from '@dbops/runtime/metrics'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { freshDatabase } from '@dbops/testing/database'
import { until } from '@dbops/testing/until'
import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readStream } from '../src/ingest/read-stream.ts'

const stream = 'axiom:events'
const group = 'dbops'
let server: Server
let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
let redis: Redis
beforeAll(async () => {
  server = await startRedis({ settings: { maxmemoryPolicy: 'noeviction' } })
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await ledger.close()
  await database.drop()
  await server.stop()
})

const keep = ['data_registered', 'db_query_slow', 'db_query_failed', 'backup_failed']
const config = ingest.parse({ target: 'cache', stream, keep })

const bytes = fc.uint8Array({ maxLength: 64 }).map(some => Buffer.from(some))
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 32 }),
  fc.constantFrom('\0', 'a\0b', '\ud800', '\udc00\ud800', '__proto__', 'constructor', ''),
)
const type = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...keep) },
  fc.constantFrom('case_opened', '__proto__', 'of_a_later_version'),
  anyText,
)
const slow = fc.record(
  { duration_ms: fc.oneof(fc.double(), anyText), query: fc.oneof(anyText, fc.integer()), params_count: fc.oneof(fc.integer(), anyText) },
  { requiredKeys: [] },
)
const payload = fc.oneof(
  fc.oneof(fc.dictionary(anyText, fc.jsonValue()), slow).map(data => JSON.stringify(data)),
  fc.json(),
  anyText,
  bytes,
  fc.integer({ min: 1, max: 3_000 }).map(deep => `{"a":${'['.repeat(deep)}${']'.repeat(deep)}}`),
  // Half of them are larger than an entry may be.
  fc.boolean().map(over => JSON.stringify({ a: 'x'.repeat(over ? 2 ** 20 + 1 : 2 ** 10) })),
)
const field = (name: string, value: fc.Arbitrary<string | Buffer>) =>
  fc.option(
    value.map(one => [name, one]),
    { freq: 3, nil: [] },
  )
const time = fc.oneof(anyText, fc.date().map(String), fc.double().map(String), fc.constant('2026-11-25T07:00:00Z'))
const entry = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        type.map(one => ['event_type', one]),
        field('event_id', fc.oneof(anyText, fc.uuid())),
        field('created_at', time),
        field('payload', payload),
      )
      .map(all => all.flat()),
  },
  fc.array(bytes, { minLength: 2, maxLength: 8 }).map(all => (all.length % 2 ? all.slice(1) : all)),
)

test('entries of any bytes, oversize and of unknown types: none is lost, each has its reason, nothing stays pending, and the reader reads on', async () => {
  await redis.xgroup('CREATE', stream, group, '$', 'MKSTREAM')
  const { counted, stop } = read()
  const all = fc.sample(entry, { numRuns: 1_000, seed: 11 })
  const pipeline = redis.pipeline()
  for (const one of all) pipeline.xadd(stream, '*', ...(one as string[]))
  await pipeline.exec()
  await redis.xadd(stream, '*', 'event_type', 'data_registered', 'payload', '{"n":"the last one"}')
  await until(
    'the last one is told',
    async () => (await ledger.query(`select from outbox where ce -> 'data' ->> 'n' = 'the last one'`)).rowCount,
    { within: 60_000 },
  )
  await until('nothing is pending', async () => ((await redis.xpending(stream, group)) as [number])[0] === 0)
  await stop()
  const outcomes = await counted()
  const { rows } = await ledger.query<{ told: number; dead: number; unsaid: number }>(
    `select (select count(*)::int from outbox) as told, (select count(*)::int from ingest_dead_letters) as dead,
            (select count(*)::int from ingest_dead_letters where kind = '' or reason = '') as unsaid`,
  )
  const { kept = 0, dead_letter: dead = 0, seen_before: before = 0, passed_by: passed = 0 } = outcomes
  expect([kept + dead + before + passed, Object.keys(outcomes).length, rows]).toEqual([
    all.length + 1,
    before ? 4 : 3,
    [{ told: kept, dead, unsaid: 0 }],
  ])
  expect(Math.min(kept, dead, passed)).toBeGreaterThan(40)
}, 120_000)

function read() {
  const abort = new AbortController()
  const metrics = openMetrics('test')
  const done = readStream(
    {
      config: { ...configFile.parse({}), file: '', hash: '', lineOf: () => 1 },
      ledger,
      log: pino({ level: 'silent' }),
      metrics,
      name: 'redis-inspector@test',
      signal: abort.signal,
      timers: { heartbeat: 100, lease: 400, reap: 100 },
    },
    { name: 'axiom-events', config, target: redisTarget.parse({ engine: 'redis', url: server.url }) },
    () => undefined,
  )
  return {
    async counted(): Promise<Record<string, number>> {
      const { values } = await metrics.counter('dbops_ingest_entries_total', '', ['entry', 'outcome']).get()
      return Object.fromEntries(values.map(({ labels, value }) => [(labels as { outcome: string }).outcome, value]))
    },
    async stop() {
      abort.abort()
      await done
    },
  }
}
