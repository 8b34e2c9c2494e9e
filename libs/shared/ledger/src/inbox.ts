// What a reader of the stream has already done, and how often its handler failed: at least once on the stream becomes once in effect.
import type { Failure } from '@dbops/contract/failure'
import type { Queryable } from './ledger.ts'

/** Notes that `consumer` handles `event`, in the effect's own transaction. False: it was handled before, do nothing. */
export const firstTime = async (db: Queryable, consumer: string, event: string): Promise<boolean> =>
  (await db.query('insert into inbox (consumer, event) values ($1, $2) on conflict do nothing returning event', [consumer, event])).rows
    .length > 0

/** The same for many events at once: those that are handled for the first time. In the order of their ids, so that two readers of the same ones do not wait for each other for ever. */
export const firstTimes = async (db: Queryable, consumer: string, events: string[]): Promise<Set<string>> =>
  new Set(
    (
      await db.query<{ event: string }>(
        'insert into inbox (consumer, event) select $1, event from unnest($2::uuid[]) event order by event on conflict do nothing returning event',
        [consumer, events],
      )
    ).rows.map(({ event }) => event),
  )

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
