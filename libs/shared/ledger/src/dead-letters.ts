// What readers of dbops:events set aside, and its way back: an event goes out again under its own id, which all who have handled it pass by.
import type { Envelope } from '@dbops/contract/envelope'
import { keepable } from '@dbops/contract/keepable'
import { v7 as uuidv7 } from 'uuid'
import type { Queryable } from './ledger.ts'
import { rowsOf } from './outbox.ts'

export interface DeadLetter {
  id: string
  /** The consumer group that set it aside. */
  reader: string
  entry: string
  reason: string
  /** The id of its event; null: it is none, and cannot be handled again. */
  event: string | null
  ce: string
  at: Date
  replayedAt: Date | null
  replayedBy: string | null
  /** A person has decided that nothing is to be done about it. */
  droppedAt: Date | null
  droppedBy: string | null
  droppedReason: string | null
}

const insert = `
  insert into dead_letters (id, reader, entry, reason, event, ce) values ($1, $2, $3, $4, $5, $6) on conflict (reader, entry) do nothing`
/** Set aside twice, as after a lost acknowledgement, it is there once. */
export const setAside = (db: Queryable, d: Pick<DeadLetter, 'reader' | 'entry' | 'reason' | 'event' | 'ce'>) =>
  db.query(insert, [uuidv7(), d.reader, d.entry, keepable(d.reason), d.event, keepable(d.ce)])

const columns = `id, reader, entry, reason, event, ce, at, replayed_at as "replayedAt", replayed_by as "replayedBy",
  dropped_at as "droppedAt", dropped_by as "droppedBy", dropped_reason as "droppedReason"`
const waits = 'replayed_at is null and dropped_at is null'
const newest = `
  select ${columns} from dead_letters where ($1::text is null or reader = $1) and ($3 or ${waits}) order by at desc, id desc limit $2`
/** The newest first; those that went out again or were dropped only with `all`. */
export const listDeadLetters = async (db: Queryable, { reader, all = false, limit }: { reader?: string; all?: boolean; limit: number }) =>
  (await db.query<DeadLetter>(newest, [reader ?? null, limit, all])).rows

const oldest = `
  select ${columns} from dead_letters
   where ($1::text is null or reader = $1) and ${waits} and event is not null order by at, id limit $2`
/** Those that can go out again and have not, in the order in which they were set aside. */
export const replayable = async (db: Queryable, { reader, limit }: { reader?: string | undefined; limit: number }) =>
  (await db.query<DeadLetter>(oldest, [reader ?? null, limit])).rows

const waiting = `
  select reader, count(*)::int as waiting from dead_letters
   where ${waits} and (event is not null or at > now() - interval '1 day') group by reader order by reader`
/** How many of each reader nobody has let go out again or dropped. What is no event, and so never can, counts for a day: its writer is to be found, not the entry to be mended. */
export const deadLettersByReader = async (db: Queryable) => (await db.query<{ reader: string; waiting: number }>(waiting)).rows

const byTail = `select ${columns} from dead_letters where right(id::text, 8) = right($1, 8) and id::text like '%' || $1 limit 2`
/** At most two whose id ends in `tail`, of 8 characters or more. */
export const findDeadLetters = async (db: Queryable, tail: string): Promise<DeadLetter[]> =>
  tail.length < 8 ? [] : (await db.query<DeadLetter>(byTail, [tail])).rows

const take = `
  update dead_letters set replayed_at = now(), replayed_by = $2 where id = $1 and event is not null and ${waits} returning event, ce`
const againFromOutbox = `update outbox set ord = null, published_at = null, batch = null where id = $1 and ord is not null returning n`
// It was trimmed meanwhile. Its time stays what it was: when it happened, not when it is told again.
const againFromLetter = `
  insert into outbox (id, event, ce) select (e.ce ->> 'id')::uuid, e.name, e.ce from jsonb_to_recordset($1::jsonb) as e (name text, ce jsonb) on conflict (id) do nothing`
const forgetFailures = `delete from inbox_failures f using dead_letters d where d.id = $1 and f.consumer = d.reader and f.entry = d.entry`

/** Lets the event go out again. False: it is no event, or has gone out again before. In the caller's transaction. */
export async function replay(db: Queryable, id: string, actor: string): Promise<boolean> {
  const { rows } = await db.query<{ event: string; ce: string }>(take, [id, actor])
  const letter = rows[0]
  if (!letter) return false
  await db.query(forgetFailures, [id])
  const { rowCount } = await db.query(againFromOutbox, [letter.event])
  if (!rowCount) await db.query(againFromLetter, [rowsOf([JSON.parse(letter.ce) as Envelope])])
  await db.query(`select pg_notify('dbops_outbox', '')`)
  return true
}

const drop = `update dead_letters set dropped_at = now(), dropped_by = $2, dropped_reason = $3 where id = $1 and ${waits} returning id`
/** It waits no longer, and does not go out again. False: it went out again, or was dropped before. */
export const dropLetter = async (db: Queryable, id: string, actor: string, reason: string): Promise<boolean> =>
  (await db.query(drop, [id, actor, reason])).rows.length > 0

const trim = `delete from dead_letters where id = any (array(select id from dead_letters where at < $1 order by at limit 1000))`
export const trimDeadLetters = async (db: Queryable, before: Date): Promise<number> => (await db.query(trim, [before])).rowCount ?? 0
