// Facts on their way to the stream: written in the transaction that made them true, published in order, sent again when the stream is found not to be what we wrote.
import type { Envelope } from '@dbops/contract/envelope'
import { signalOf } from '@dbops/contract/envelope'
import { v4 as uuidv4 } from 'uuid'
import type { Queryable } from './ledger.ts'

/** As part of a statement that makes them true: puts the events of `rowsOf`, under the parameter `values`, into the outbox. Their time is the ledger's, so that all of them are of one clock. */
export const putEvents = (values: string, where = 'true') => `
    insert into outbox (id, event, ce)
    select (e.ce ->> 'id')::uuid, e.name, jsonb_set(e.ce, '{time}', to_jsonb(to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')))
    from jsonb_to_recordset(${values}::jsonb) as e (name text, ce jsonb) where ${where}
    on conflict (id) do nothing returning n`
export const rowsOf = (events: Envelope[]) => JSON.stringify(events.map(ce => ({ name: signalOf(ce.type), ce })))
const insert = `
  with put as (${putEvents('$1')}
  )
  select pg_notify('dbops_outbox', '') where exists (select 1 from put)`

/** Puts events into the outbox, in the caller's transaction. */
export async function publish(db: Queryable, events: Envelope[]): Promise<void> {
  if (!events.length) return
  await db.query(insert, [rowsOf(events)])
}

export interface Batch {
  standing: string
  ahead: string
  rows: { id: string; ce: Envelope }[]
}
/** Whether anything is to be published, or stands written ahead. */
export const isDue = async (db: Queryable): Promise<boolean> =>
  (await db.query('select 1 from outbox where ord is null limit 1', [])).rows.length > 0

const standingTokens = `select standing, ahead from publisher for update`
const writeAhead = `
  with due as (
    select n from outbox where ord is null and batch is null order by n limit $2 for update
  ), written as (
    update outbox o set batch = $1 from due where o.n = due.n returning o.n, o.id, o.ce
  ), told as (
    update publisher set ahead = $1 where exists (select 1 from written)
  )
  select id, ce from written order by n`
const rowsAhead = `select id, ce from outbox where batch = $1 order by n`

/**
 * Step one of a publication: the batch that stands written ahead, or a new one of at most `limit` rows under a new token. Null when nothing is due.
 * In the caller's transaction. The stream may take it only while its mark is `standing` (or already `ahead`: then the reply was lost).
 */
export async function writeBatch(db: Queryable, limit: number): Promise<Batch | null> {
  const { rows } = await db.query<{ standing: string; ahead: string | null }>(standingTokens, [])
  const { standing, ahead } = rows[0]!
  if (ahead) return { standing, ahead, rows: (await db.query<Batch['rows'][number]>(rowsAhead, [ahead])).rows }
  const token = uuidv4()
  const { rows: written } = await db.query<Batch['rows'][number]>(writeAhead, [token, limit])
  return written.length ? { standing, ahead: token, rows: written } : null
}

const confirm = `
  with mine as (
    update publisher set standing = ahead, ahead = null, next_ord = next_ord + (select count(*) from outbox where batch = $1) where ahead = $1
    returning next_ord - (select count(*) from outbox where batch = $1) as first
  ), placed as (
    select n, row_number() over (order by n) - 1 as k from outbox where batch = $1
  )
  update outbox o set ord = mine.first + placed.k, batch = null, published_at = now() from mine, placed where o.n = placed.n`
/** Step three: the stream has the batch; its rows are published in order and the new token stands. Nothing happens when another publisher has done it. */
export const confirmBatch = async (db: Queryable, ahead: string): Promise<number> => (await db.query(confirm, [ahead])).rowCount ?? 0

export const tokens = async (db: Queryable) =>
  (await db.query<{ standing: string; ahead: string | null }>('select standing, ahead from publisher')).rows[0]!

const takeBack = `
  with mine as (
    update publisher set standing = $3, ahead = null where standing = $1 and ahead is not distinct from $2 returning one
  )
  update outbox set ord = null, published_at = null, batch = null
  from mine where ord > $4 or batch is not null`
// A batch that is on its way for the first time is not sent again.
const publishedSince = 'select count(*)::int as n from outbox where ord > $1'
const slowest = `select coalesce(min(coalesce(p.ord, 0)), 0) as ord from unnest($1::text[]) as g (reader) left join positions p using (reader)`

/**
 * The stream is not what we wrote (FLUSHALL, an older copy, a ledger restored): every row that the slowest registered reader has not acknowledged is due again, and a fresh
 * token stands. Must be committed before the mark is set. Null when another publisher was first.
 */
export async function unmark(
  db: Queryable,
  seen: { standing: string; ahead: string | null },
  readers: string[],
): Promise<{ token: string; rows: number } | null> {
  const { rows } = await db.query<{ ord: number }>(slowest, [readers])
  const { rows: again } = await db.query<{ n: number }>(publishedSince, [rows[0]!.ord])
  const token = uuidv4()
  await db.query(takeBack, [seen.standing, seen.ahead, token, rows[0]!.ord])
  return (await tokens(db)).standing === token ? { token, rows: again[0]!.n } : null
}

const copyPosition = `
  insert into positions (reader, ord) select $1, coalesce((select min(o.ord) - 1 from outbox o where o.id = $2), (select next_ord - 1 from publisher))
  where ($2::uuid is null or exists (select 1 from outbox where id = $2 and ord is not null))
    and ($2::uuid is not null or exists (select 1 from publisher where standing = $3)) -- a batch that was confirmed since would count as read
  on conflict (reader) do update set ord = greatest(positions.ord, excluded.ord), copied_at = now()`
/** How far a reader is: `lowest` is the event id of its lowest unacknowledged entry, null when it has read everything. An entry that the ledger does not know as published says nothing; nor does "everything" when another token stands than at the look. */
export const savePosition = (db: Queryable, reader: string, lowest: string | null, standing: string) =>
  db.query(copyPosition, [reader, lowest, standing])

const trim = `
  delete from outbox where ctid = any (array(select ctid from outbox
    where ord <= greatest($2, (select coalesce(max(ord), 0) from outbox where created_at < $3)) and published_at < $1 order by ord limit 5000))`
/**
 * Deletes rows that the stream no longer has either: published before `before`, and acknowledged by every registered reader, or older than `anyway`, which is the longest
 * that any of them is waited for. Returns how many.
 */
export const trimOutbox = async (db: Queryable, before: Date, readers: string[], anyway: Date): Promise<number> => {
  const { rows } = await db.query<{ ord: number }>(slowest, [readers])
  return (await db.query(trim, [before, rows[0]!.ord, anyway])).rowCount ?? 0
}

export const backlog = async (db: Queryable) =>
  (
    await db.query<{ due: number; oldest: Date | null }>(
      'select count(*)::int as due, min(created_at) as oldest from outbox where ord is null',
    )
  ).rows[0]!

const heldUpEvents = `
  select n, ce from outbox o
  where ord is null and n > $1 and created_at < now() - $2 * interval '1 ms' and event = any ($3)
    and not exists (select from inbox i where i.consumer = $4 and i.event = o.id)
  order by n limit $5`
/** Events of these names that have not been in the stream for `forMs`, and that `consumer` has not handled; oldest first, `after` an n that an earlier call returned. */
export const heldUp = async (
  db: Queryable,
  { after, forMs, events, consumer, limit }: { after: number; forMs: number; events: readonly string[]; consumer: string; limit: number },
) => (await db.query<{ n: number; ce: Envelope }>(heldUpEvents, [after, forMs, events, consumer, limit])).rows

/** The newest events, oldest first; `after` an n that an earlier call returned. */
export const recent = async (db: Queryable, { after = 0, limit = 100 }: { after?: number; limit?: number }) =>
  (
    await db.query<{ n: number; ce: Envelope }>(
      'select n, ce from (select n, ce from outbox where n > $1 order by n desc limit $2) newest order by n',
      [after, limit],
    )
  ).rows

const since =
  'select n, ce from (select n, ce from outbox where created_at >= $1 order by created_at desc, n desc limit $2) newest order by n'
/** The newest `limit` of the events told at `at` or later, oldest first. */
export const eventsSince = async (db: Queryable, at: Date, limit: number) =>
  (await db.query<{ n: number; ce: Envelope }>(since, [at, limit])).rows

export interface Position {
  reader: string
  /** Events in the stream that it has not acknowledged. */
  behind: number
  copiedAt: Date
}
const listPositions = `
  select p.reader, greatest(0, (select next_ord - 1 from publisher) - p.ord) as behind, p.copied_at as "copiedAt" from positions p order by p.reader`
/** How far each registered reader is, as the scheduler last saw it. */
export const positions = async (db: Queryable): Promise<Position[]> => (await db.query<Position>(listPositions)).rows
