// What a reader of the stream has already done, and how often its handler failed: at least once on the stream becomes once in effect.
import type { Failure } from '@dbops/contract/failure'
import type { Queryable } from './ledger.ts'

const note = `
  insert into inbox (consumer, event) select $1, event from unnest($2::uuid[]) event order by event
  on conflict do nothing returning event`
/**
 * Notes that `consumer` handles `events`, in the effect's own transaction. Returns those that were not handled before: the others are to be left alone. In the order of
 * their ids, so that two readers of the same ones do not wait for each other for ever.
 */
export async function firstTimes(db: Queryable, consumer: string, events: string[]): Promise<Set<string>> {
  const noted = new Set((await db.query<{ event: string }>(note, [consumer, events])).rows.map(({ event }) => event))
  // An id comes back in lower case, however it was written; of two writings of one the first is the first.
  return new Set(events.filter(event => noted.delete(event.toLowerCase())))
}

/** The same for one. False: do nothing. */
export const firstTime = async (db: Queryable, consumer: string, event: string): Promise<boolean> =>
  (await firstTimes(db, consumer, [event])).size > 0

const countFailure = `
  insert into inbox_failures (consumer, entry, failures, error) values ($1, $2, 1, $3)
  on conflict (consumer, entry) do update set failures = inbox_failures.failures + 1, error = excluded.error, at = now()
  returning failures`
/** Counts a failure of the handler on one entry; returns how many there have been. */
export const failed = async (db: Queryable, consumer: string, entry: string, error: Failure): Promise<number> =>
  (await db.query<{ failures: number }>(countFailure, [consumer, entry, error])).rows[0]!.failures

export const forget = (db: Queryable, consumer: string, entry: string) =>
  db.query('delete from inbox_failures where consumer = $1 and entry = $2', [consumer, entry])

const trim = `delete from inbox where ctid = any (array(select ctid from inbox where at < $1 order by at limit 5000))`
// Of entries that were trimmed from the stream before their handler succeeded.
const trimFailures = `delete from inbox_failures where at < $1`
/** The inbox is kept longer than any entry can still come. */
export async function trimInbox(db: Queryable, before: Date): Promise<number> {
  await db.query(trimFailures, [before])
  return (await db.query(trim, [before])).rowCount ?? 0
}
