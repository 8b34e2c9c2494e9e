// The last reading of each probe on each target, and since when its state has been what it is.
import type { Failure } from '@dbops/contract/failure'
import type { Queryable } from './ledger.ts'

export interface Reading {
  target: string
  probe: string
  state: 'ok' | 'failed'
  result: Record<string, unknown> | null
  error: Failure | null
}
export interface ReadingRow extends Reading {
  since: Date
  at: Date
}

// A statement of its own: in one with the upsert it would be asked last, and find the row changed by itself.
const before = `select state from probes where target = $1 and probe = $2 for update`
const upsert = `
  insert into probes (target, probe, state, since, at, result, error) values ($1, $2, $3, now(), now(), $4, $5)
  on conflict (target, probe) do update set state = excluded.state, at = now(), result = coalesce(excluded.result, probes.result), error = excluded.error,
    since = case when probes.state = excluded.state then probes.since else now() end
  returning since`

/** Stores a reading; returns the state before (null: the first reading) and since when the present one holds. In the caller's transaction, with the event of the change. */
export async function saveReading(db: Queryable, r: Reading): Promise<{ was: Reading['state'] | null; since: Date }> {
  const was = (await db.query<{ state: Reading['state'] }>(before, [r.target, r.probe])).rows[0]?.state ?? null
  const { rows } = await db.query<{ since: Date }>(upsert, [r.target, r.probe, r.state, r.result, r.error])
  return { was, since: rows[0]!.since }
}

export const listReadings = async (db: Queryable): Promise<ReadingRow[]> =>
  (await db.query<ReadingRow>('select target, probe, state, since, at, result, error from probes order by target, probe')).rows
