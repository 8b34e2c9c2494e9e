// The sample's traffic on a real PostgreSQL and a real Redis: every kind of thing that it does is done, Core's fields are Core's, and it survives what it has to survive.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '@dbops/servers/postgres'
import { startRedis } from '@dbops/servers/redis'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createSample, type Sample } from '../src/create.ts'
import { startTraffic, type Traffic, type TrafficOptions } from '../src/traffic.ts'

const stream = 'axiom:events'
const dir = mkdtempSync(join(tmpdir(), 'traffic-'))
let server: Awaited<ReturnType<typeof startPostgres>>
let platform: Awaited<ReturnType<typeof startRedis>>
let sample: Sample
let db: Client
let admin: Client
let redis: Redis

beforeAll(async () => {
  server = await startPostgres({ say: () => undefined })
  platform = await startRedis({ dir: join(dir, 'redis'), settings: { maxmemory: '64mb', maxmemoryPolicy: 'allkeys-lru' } })
  sample = await createSample(server.url, { rows: 10_000 })
  db = new Client(sample.url)
  admin = new Client(server.url)
  await Promise.all([db.connect(), admin.connect()])
  redis = new Redis(platform.url)
})
afterAll(async () => {
  await Promise.all([db?.end(), admin?.end()])
  redis?.disconnect()
  await platform?.stop()
  await server?.stop()
  rmSync(dir, { recursive: true, force: true })
})

test('rows are written, changed and deleted; some are past their retention from the first moment', async () => {
  const before = await facts()
  const deletedBefore = await deleted()
  await during({ perSecond: 400 }, () =>
    until(
      'every kind was done',
      async () => {
        const now = await facts()
        return (
          Object.entries(now).every(([name, rows]) => rows > before[name as keyof typeof before]) &&
          (await deleted()).every((rows, table) => rows > deletedBefore[table]!)
        )
      },
      { within: 30_000, every: 250 },
    ),
  )
})

test('what was pending is published to the stream with the fields of Core, data_registered among them', async () => {
  await during({ perSecond: 50, dataEvery: 0.2 }, () =>
    until('data was registered', async () => (await types()).has('data_registered'), { within: 20_000, every: 100 }),
  )
  const [, fields] = (await redis.xrevrange(stream, '+', '-', 'COUNT', 10_000)).find(([, all]) => all.includes('data_registered'))!
  const [type, id, created, payload] = ['event_type', 'event_id', 'created_at', 'payload'].map(name => fields[fields.indexOf(name) + 1]!)
  const { rows } = await db.query<{ status: string }>('SELECT status FROM core.event_outbox WHERE id = $1', [id])
  expect([type, new Date(created!).toISOString(), (JSON.parse(payload!) as { event: string }).event, rows]).toEqual([
    'data_registered',
    created,
    'data_registered',
    [{ status: 'PUBLISHED' }],
  ])
})

test('a report takes longer than a second under core-api, and is told as Core tells it', async () => {
  await during({ slowEvery: 1 }, async () => {
    await until(
      'a statement runs for a second',
      async () =>
        (
          await db.query(
            `SELECT FROM pg_stat_activity WHERE application_name = 'core-api' AND state = 'active' AND query_start < now() - interval '1 s'`,
          )
        ).rowCount,
    )
    await until('it is told', async () => (await types()).has('db_query_slow'))
  })
})

test('it has three sessions, named as its pools are, and none when it has stopped', async () => {
  const names = async () =>
    (
      await db.query<{ name: string }>(
        `SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE 'core-%' ORDER BY application_name`,
      )
    ).rows.map(({ name }) => name)
  const seen = await during({ slowEvery: 5 }, () =>
    until('all are there', async () => ((await names()).length === 3 ? names() : undefined)),
  )
  await until('they are gone', async () => (await names()).length === 0)
  expect(seen).toEqual(['core-api', 'core-api', 'core-worker'])
})

test('it keeps its pace', async () => {
  const done = await during({ perSecond: 40 }, async traffic => {
    await until('it has begun', () => traffic.counts.transactions > 5)
    const [began, at] = [performance.now(), traffic.counts.transactions]
    await until('two hundred more', () => traffic.counts.transactions > at + 200, { within: 60_000 })
    return 200 / ((performance.now() - began) / 1_000)
  })
  expect(done).toBeLessThan(45)
})

test('it goes on after PostgreSQL ended its sessions and Redis went away and came back', async () => {
  const said: string[] = []
  await during({ perSecond: 50, say: line => said.push(line) }, async traffic => {
    await until('it works', () => traffic.counts.published > 5)
    await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'core-%'`)
    await platform.stop()
    await until('somebody says that Redis is away', () => said.length > 0)
    const port = Number(new URL(platform.url).port)
    platform = await startRedis({ dir: join(dir, 'redis'), port, settings: { maxmemory: '64mb', maxmemoryPolicy: 'allkeys-lru' } })
    const { transactions, published } = traffic.counts
    await until('it works again', () => traffic.counts.transactions > transactions + 20 && traffic.counts.published > published + 5, {
      within: 20_000,
    })
  })
})

async function during<T>(options: Partial<TrafficOptions>, work: (traffic: Traffic) => Promise<T>): Promise<T> {
  const traffic = startTraffic({ databaseUrl: sample.appUrl, redisUrl: platform.url, slowEvery: 0, ...options })
  try {
    return await work(traffic)
  } finally {
    await traffic.stop()
  }
}

const types = async () => new Set((await redis.xrange(stream, '-', '+')).map(([, fields]) => fields[fields.indexOf('event_type') + 1]))

const countFacts = `
  SELECT (SELECT max(case_number) FROM core.cases)::int AS cases,
         (SELECT count(*) FROM core.watch_alerts WHERE status = 'acknowledged' AND acknowledged_at < now() - interval '90 days')::int AS "alerts past 90 d",
         (SELECT count(*) FROM core.watch_alerts)::int AS alerts,
         (SELECT count(*) FROM core.event_outbox WHERE status = 'PUBLISHED' AND published_at < now() - interval '7 days')::int AS "published past 7 d",
         (SELECT count(*) FROM core.event_outbox WHERE status = 'FAILED')::int AS failed,
         (SELECT count(*) FROM core.event_outbox WHERE status = 'FAILED' AND created_at < now() - interval '30 days')::int AS "failed past 30 d",
         (SELECT count(*) FROM core.llm_call_logs WHERE created_at < now() - interval '30 days')::int AS "calls past 30 d"`
const facts = async () => (await db.query<Record<'cases' | 'alerts' | 'failed', number>>(countFacts)).rows[0]!
const deleted = async () => {
  await db.query('SELECT pg_stat_clear_snapshot()')
  const { rows } = await db.query<{ rows: number }>(
    `SELECT n_tup_del::int AS rows FROM pg_stat_user_tables WHERE relid = ANY (ARRAY['core.users', 'core.documents']::regclass[]) ORDER BY relname`,
  )
  return rows.map(row => row.rows)
}
