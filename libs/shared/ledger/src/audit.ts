// Who asked for what: one row for everything that a person does to runs and schedules, written with the deed itself.
import type { Queryable } from './ledger.ts'

export interface Deed {
  actor: string
  /** A verb: `pause`, `cancel`. */
  action: string
  /** What it was done to: a run's id, the name of a schedule, `all`. */
  subject: string
  detail: Record<string, unknown>
}
const insert = 'insert into audit (actor, action, subject, detail) values ($1, $2, $3, $4)'

/** In the caller's transaction. */
export const recordDeed = (db: Queryable, d: Deed) => db.query(insert, [d.actor, d.action, d.subject, d.detail])

/** What was done to one subject, the oldest first. */
export const deedsOf = async (db: Queryable, subject: string): Promise<(Deed & { at: Date })[]> =>
  (await db.query<Deed & { at: Date }>('select at, actor, action, subject, detail from audit where subject = $1 order by n', [subject]))
    .rows
