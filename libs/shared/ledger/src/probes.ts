// The last reading of each probe on each target, and since when its state has been what it is.
import type { Failure } from '@dbops/contract/failure'
import type { Queryable } from './ledger.ts'

export interface Reading {
  target: string
  probe: string
  state: 'ok' | 'failed'
  result: Record<string, unknown> | null
  error: Failure | null
  /** Whether this failure is told as an event: by this reading, or by one before it. */
  told: boolean
}
export interface ReadingRow extends Reading {
  since: Date
  at: Date
}

// A statement of its own: in one with the upsert it would be asked last, and find the row changed by itself.
const before = `select state, told from probes where target = $1 and probe = $2 for update`
const upsert = `
  insert into probes (target, probe, state, since, at, result, error, told) values ($1, $2, $3, now(), now(), $4, $5, $6)
  on conflict (target, probe) do update set state = excluded.state, at = now(), result = coalesce(excluded.result, probes.result), error = excluded.error,
    told = case when excluded.state = 'failed' then excluded.told or (probes.state = 'failed' and probes.told) else false end,
    since = case when probes.state = excluded.state then probes.since else now() end
  returning since`

/**
 * Stores a reading. Answers the state before (null: the first reading), whether that was a failure that had been told, and since when the present state
 * holds. In the caller's transaction, with the event of the change.
 */
export async function saveReading(db: Queryable, r: Reading): Promise<{ was: Reading['state'] | null; told: boolean; since: Date }> {
  const [old] = (await db.query<{ state: Reading['state']; told: boolean }>(before, [r.target, r.probe])).rows
  const { rows } = await db.query<{ since: Date }>(upsert, [r.target, r.probe, r.state, r.result, r.error, r.told])
  return { was: old?.state ?? null, told: old?.told ?? false, since: rows[0]!.since }
}

/** The last good result of a probe, whichever process read it; null when there was none. `at` is of the last reading, good or not. */
export async function lastReading(
  db: Queryable,
  target: string,
  probe: string,
): Promise<{ at: Date; result: Record<string, unknown> } | null> {
  const { rows } = await db.query<{ at: Date; result: Record<string, unknown> }>(
    'select at, result from probes where target = $1 and probe = $2 and result is not null',
    [target, probe],
  )
  return rows[0] ?? null
}

export const listReadings = async (db: Queryable): Promise<ReadingRow[]> =>
  (await db.query<ReadingRow>('select target, probe, state, since, at, result, error, told from probes order by target, probe')).rows

/** Whether each target answers: the state of its engine's health probe, null where that has not looked yet. */
export const healthOfTargets = async (
  db: Queryable,
): Promise<{ name: string; engine: string; state: Reading['state'] | null; since: Date | null }[]> =>
  (
    await db.query<{ name: string; engine: string; state: Reading['state'] | null; since: Date | null }>(
      `select t.name, t.engine, p.state, p.since from targets t left join probes p on p.target = t.name and p.probe = t.engine || '.health' where t.enabled order by t.name`,
    )
  ).rows
