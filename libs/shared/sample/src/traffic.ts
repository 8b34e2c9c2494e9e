// Life on the sample platform: people open cases, alerts are raised and acknowledged, the outbox is published to `axiom:events` as Core does it, and now and then a
// report takes too long. A gentle load that stays within the size of the sample, through restarts of PostgreSQL and Redis.
import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { CoreApi } from './traffic/core-api.ts'
import { forgetPublished, publishSome, stream } from './traffic/core-worker.ts'
import { dice } from './traffic/dice.ts'
import { asTenant, keepOn } from './traffic/keep-on.ts'

export interface TrafficOptions {
  /** As `core_app`: `appUrl` of createSample. */
  databaseUrl: string
  /** The platform's Redis. */
  redisUrl: string
  /** Transactions of people a second; 20 by default. */
  perSecond?: number
  /** Seconds between two events `data_registered`; 20 by default. */
  dataEvery?: number
  /** Seconds between two reports that take longer than a second; 25 by default, 0 for none. */
  slowEvery?: number
  /** What is done next is the same for the same seed. */
  seed?: number
  /** Told one line when the database or Redis is away, once for each reason. */
  say?: (line: string) => void
}

export interface Traffic {
  /** Since the start. */
  readonly counts: { transactions: number; published: number; slow: number }
  /** Ends what is in hand and its three sessions. */
  stop(): Promise<void>
}

/** Rows of the outbox that this process published and leaves to be purged; older ones it takes out by itself. */
const keptPublished = 20_000

// As a person would write it who has never looked at its plan; the sleep stands for a table that is larger than this one.
const report = `SELECT c.org, c.case_type, count(*) AS cases, sum(c.amount) AS amount FROM core.cases c, pg_sleep($1) WHERE c.status <> $2 GROUP BY c.org, c.case_type ORDER BY amount DESC`

/** Begins at once and returns; a database or a Redis that is not there yet is waited for. Three sessions: two named core-api, one core-worker. */
export function startTraffic(options: TrafficOptions): Traffic {
  const { databaseUrl, redisUrl, perSecond = 20, dataEvery = 20, slowEvery = 25, seed = 1, say = () => undefined } = options
  const stopping = new AbortController()
  const { signal } = stopping
  const counts = { transactions: 0, published: 0, slow: 0 }
  const redis = new Redis(redisUrl, {
    connectionName: 'core-worker',
    maxRetriesPerRequest: 1,
    commandTimeout: 5_000,
    retryStrategy: tries => Math.min(100 * 2 ** tries, 1_000),
  })
  redis.on('error', () => undefined) // told by the command that fails
  const service = (name: string) => ({ databaseUrl, name, signal, say })

  const people = new CoreApi(dice(seed), dataEvery * 1_000)
  const every = 1_000 / perSecond
  let due = performance.now()
  const api = keepOn(service('core-api'), async db => {
    await (counts.transactions % 6 === 5 ? people.acknowledge(db) : people.act(db))
    counts.transactions++
    // Behind after an outage: what was not done then is not done now.
    due = Math.max(due + every, performance.now() - 1_000)
    return Math.max(0, due - performance.now())
  })

  const chance = dice(seed + 1)
  const kept: { tenant: string; ids: string[] }[] = []
  let keptRows = 0
  let turn = 0
  const worker = keepOn(service('core-worker'), async db => {
    const tenants = await people.tenants(db)
    const tenant = tenants[turn++ % tenants.length]!.id
    const ids = await publishSome(db, redis, chance, tenant)
    counts.published += ids.length
    keptRows += ids.length
    if (ids.length) kept.push({ tenant, ids })
    if (keptRows > keptPublished) {
      const oldest = kept.shift()!
      keptRows -= oldest.ids.length
      await forgetPublished(db, oldest.tenant, oldest.ids)
    }
    return 200
  })

  const reports = slowEvery
    ? keepOn(service('core-api'), async db => {
        const tenant = chance.one(await people.tenants(db))
        const began = performance.now()
        await asTenant(db, tenant.id, () => db.query(report, [3, 'closed']))
        counts.slow++
        const slow = { duration_ms: Math.round(performance.now() - began), query: report, params_count: 2 }
        await redis.xadd(
          stream,
          'MAXLEN',
          '~',
          10_000,
          '*',
          'event_type',
          'db_query_slow',
          'created_at',
          new Date().toISOString(),
          'payload',
          JSON.stringify(slow),
        )
        return slowEvery * 1_000
      })
    : Promise.resolve()

  return {
    counts,
    async stop() {
      stopping.abort()
      await Promise.race([Promise.all([api, worker, reports]), wait(5_000, undefined, { ref: false })])
      redis.disconnect()
    },
  }
}
