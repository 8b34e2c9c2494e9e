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

const upsert = `
  with old as (select state, since from probes where target = $1 and probe = $2 for update)
  insert into probes (target, probe, state, since, at, result, error) values ($1, $2, $3, now(), now(), $4, $5)
  on conflict (target, probe) do update set state = excluded.state, at = now(), result = coalesce(excluded.result, probes.result), error = excluded.error,
    since = case when probes.state = excluded.state then probes.since else now() end
  returning (select state from old) as was, since`

/** Stores a reading; returns the state before (null: the first reading) and since when the present one holds. In the caller's transaction, with the event of the change. */
export const saveReading = async (db: Queryable, r: Reading): Promise<{ was: 'ok' | 'failed' | null; since: Date }> =>
  (await db.query<{ was: 'ok' | 'failed' | null; since: Date }>(upsert, [r.target, r.probe, r.state, r.result, r.error])).rows[0]!

export const listReadings = async (db: Queryable): Promise<ReadingRow[]> =>
  (await db.query<ReadingRow>('select target, probe, state, since, at, result, error from probes order by target, probe')).rows
