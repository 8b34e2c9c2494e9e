// Core's outbox worker: what waits is put into the stream and marked as published, some of it fails; tenant by tenant, as row level security wants it.
import type { Redis } from 'ioredis'
import type { Client } from 'pg'
import type { Dice } from './dice.ts'
import { asTenant } from './keep-on.ts'

export const stream = 'axiom:events'
/** The platform's own: what nobody has read by then is gone. */
const maxLength = 10_000
const perTurn = 10

interface Row {
  id: string
  event_type: string
  aggregate_type: string
  aggregate_id: string
  payload: unknown
  tenant_id: string
  created_at: Date
}
const pending = `
  SELECT id, event_type, aggregate_type, aggregate_id, payload, tenant_id, created_at FROM core.event_outbox
  WHERE status = 'PENDING' ORDER BY created_at LIMIT ${perTurn} FOR UPDATE SKIP LOCKED`
const published = `UPDATE core.event_outbox SET status = 'PUBLISHED', published_at = created_at + interval '200 ms' WHERE id = ANY ($1)`
const failed = `UPDATE core.event_outbox SET status = 'FAILED', retry_count = 3, last_error = 'connection to redis timed out' WHERE id = ANY ($1)`
const forget = `DELETE FROM core.event_outbox WHERE id = ANY ($1)`

/** Publishes a few events of one tenant; which. Redis first: an event that is told twice is better than one that is not. */
export async function publishSome(db: Client, redis: Redis, dice: Dice, tenant: string): Promise<string[]> {
  return asTenant(db, tenant, async () => {
    const { rows } = await db.query<Row>(pending)
    // What is old has more often failed, so that the purge of the failed has work too.
    const { bad = [], good = [] } = Object.groupBy(rows, row => (dice.percent(isOld(row) ? 40 : 2) ? 'bad' : 'good'))
    for (const row of good) await redis.xadd(stream, 'MAXLEN', '~', maxLength, '*', ...fieldsOf(row))
    if (good.length) await db.query(published, [good.map(({ id }) => id)])
    if (bad.length) await db.query(failed, [bad.map(({ id }) => id)])
    return good.map(({ id }) => id)
  })
}

/** Rows that this worker has published and that nobody purged: they are the platform's to keep for a week, and too many for a laptop. */
export const forgetPublished = (db: Client, tenant: string, ids: string[]) => asTenant(db, tenant, () => db.query(forget, [ids]))

const isOld = ({ created_at }: Row) => created_at.getTime() < Date.now() - 30 * 86_400_000

const fieldsOf = (row: Row): string[] => [
  'event_type',
  row.event_type,
  'event_id',
  row.id,
  'aggregate_type',
  row.aggregate_type,
  'aggregate_id',
  row.aggregate_id,
  'tenant_id',
  row.tenant_id,
  'created_at',
  row.created_at.toISOString(),
  'payload',
  JSON.stringify(row.payload),
]
