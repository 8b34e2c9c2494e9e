// From an entry in the platform's stream to a run, as it is deployed: real processes that are killed in the middle, storms, and an operations Redis that is emptied.
import { publish } from '@dbops/ledger/outbox'
import { list, type Run } from '@dbops/ledger/runs'
import { listTriggers } from '@dbops/ledger/triggers'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { anEvent } from '@dbops/testing/an-event'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const stream = 'axiom:events'
const scheduler = 'apps/scheduler/src/main.ts'
const inspector = 'apps/redis-inspector/src/main.ts'
let platform: Server
let redis: Redis
let target: Awaited<ReturnType<typeof freshDatabase>>
let line: Line

beforeEach(async () => {
  platform = await startRedis({ settings: { maxmemory: '64mb', maxmemoryPolicy: 'allkeys-lru' } })
  redis = new Redis(platform.url)
  target = await freshDatabase()
})
afterEach(async () => {
  await line.close()
  redis.disconnect()
  await platform.stop()
  await target.drop()
})

test('data_registered in the stream of the platform is a run that succeeds, and says what it was born of', async () => {
  const db = new Client(target.url)
  await db.connect()
  await db.query('CREATE TABLE public.items AS SELECT generate_series(1, 1000) AS id')
  await db.query('DELETE FROM public.items WHERE id % 2 = 0')
  await db.end()
  await begin('1s')
  for (const main of [scheduler, inspector, 'apps/pg-maintainer/src/main.ts']) await line.start(main)
  await groupMade()
  await say(3)
  const run = await until('a run has ended', async () => (await runs()).find(({ state }) => state === 'succeeded'), { within: 30_000 })
  expect([run.schedule, run.cause, run.operation, await line.events(run.id)]).toEqual([
    'on-data',
    { kind: 'event', schedule: 'on-data', event: 'data_registered', events: 3, id: expect.any(String) as string },
    expect.stringMatching(/^pg\.vacuum:/),
    ['vacuum_completed'],
  ])
})

test('inspectors that are killed again and again lose nothing and tell nothing twice', async () => {
  await begin('1s')
  const living = [await line.start(inspector), await line.start(inspector)]
  await groupMade()
  let said = 0
  const saying = (async () => {
    while (said < 1_500) said += await say(10)
  })()
  for (let n = 0; n < 3; n++) {
    await until('half of it was read meanwhile', async () => (await outbox()) > n * 400 + 50, { within: 30_000 })
    living[n % 2]!.kill('SIGKILL')
    living[n % 2] = await line.start(inspector)
  }
  await saying
  await until('all is in the outbox', async () => (await outbox()) >= said, { within: 40_000 })
  await until('nothing is pending', async () => ((await redis.xpending(stream, 'dbops')) as [number])[0] === 0, { within: 40_000 })
  const { rows } = await line.ledger.query<{ n: number }>(`select count(distinct ce -> 'data' ->> 'n')::int as n from outbox`)
  expect([await outbox(), rows]).toEqual([said, [{ n: said }]])
})

describe('schedulers', () => {
  test('that are killed between the event and its time, with a Redis that is emptied meanwhile, bear one run', async () => {
    await begin('4s')
    const first = await line.start(scheduler)
    const operations = new Redis(line.redisUrl)
    await tell(20)
    await until('all events are counted', async () => (await listTriggers(line.ledger))[0]?.events === 20)
    first.kill('SIGKILL')
    await operations.flushall()
    operations.disconnect()
    await line.start(scheduler)
    await until('a run is born', async () => (await runs()).length > 0, { within: 30_000 })
    await tell(1) // read after all that was published again
    await until('it was read', async () => (await listTriggers(line.ledger)).length > 0, { within: 30_000 })
    expect([(await runs()).map(run => run.cause['events']), (await listTriggers(line.ledger)).map(({ events }) => events)]).toEqual([
      [20],
      [1],
    ])
  })

  test.each([500, ...(process.env['DBOPS_LONG'] ? [10_000] : [])])(
    'make one run of a storm of %d events',
    async events => {
      await begin(`${events / 100}s`)
      await Promise.all([line.start(scheduler), line.start(scheduler)])
      await tell(events)
      const [run] = await until('a run is born', async () => ((await runs()).length ? runs() : undefined), { within: 180_000 })
      expect([run!.cause['events'], (await runs()).length, await listTriggers(line.ledger)]).toEqual([events, 1, []])
    },
    240_000,
  )
})

async function begin(debounce: string) {
  line = await startLine(
    `targets:
  core: { engine: pg, url: "\${CORE_URL}" }
  cache: { engine: redis, url: "\${CACHE_URL}" }
ingest: { axiom-events: { target: cache, stream: "${stream}", keep: [data_registered] } }
schedules: { on-data: { task: pg.vacuum, target: core, event: data_registered, debounce: ${debounce}, params: { tables: [public.items] } } }
`,
    { CORE_URL: target.url, CACHE_URL: platform.url },
  )
  await redis.xadd(stream, '*', 'event_type', 'case_opened')
}
const groupMade = () => until('it reads', async () => ((await redis.xinfo('GROUPS', stream)) as unknown[]).length > 0)

let counter = 0
async function say(events: number): Promise<number> {
  for (let n = 0; n < events; n++)
    await redis.xadd(stream, '*', 'event_type', 'data_registered', 'payload', JSON.stringify({ n: ++counter }))
  return events
}
/** As they come out of the outbox, without the way through the platform's stream. */
async function tell(events: number) {
  const all = Array.from({ length: events }, () => ({ ...anEvent({ id: uuidv7() }), type: 'io.axiom.dbops.data_registered.v1', data: {} }))
  await line.ledger.transaction(db => publish(db, all))
}
const outbox = async () =>
  (await line.ledger.query<{ n: number }>(`select count(*)::int as n from outbox where event = 'data_registered'`)).rows[0]!.n
const runs = (): Promise<Run[]> => list(line.ledger, { limit: 100 })
