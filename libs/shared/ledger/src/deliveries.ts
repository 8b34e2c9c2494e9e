// Notifications on their way to a channel: a row is written before the send and closed after it, so that a crash in between sends the same key again.
import type { Failure } from '@dbops/contract/failure'
import type { AlertState } from './alerts.ts'
import type { Queryable } from './ledger.ts'

/** What one notification is about. Two that agree in all four are the same notification, however often it is sent. */
export interface Place {
  episode: string
  channel: string
  state: AlertState
  /** 0: the first of this state; then repeats. */
  nth: number
}
export const keyOf = (p: Place) => `${p.episode}:${p.channel}:${p.state}:${p.nth}`

const insert = `
  insert into deliveries (key, episode, channel, state, nth, status, created_at, at, next_at, payload) values ($1, $2, $3, $4, $5, 'pending', $6, $6, $6, $7)
  on conflict (key) do nothing`
/** Writes a notification down, due at once. False: it was written before. In the transaction that decided it. */
export const addDelivery = async (db: Queryable, place: Place, payload: object, now: Date): Promise<boolean> =>
  (await db.query(insert, [keyOf(place), place.episode, place.channel, place.state, place.nth, now, payload])).rowCount === 1

export interface Told {
  state: AlertState
  status: 'pending' | 'delivered' | 'failed'
  createdAt: Date
}
const told = `select state, status, created_at as "createdAt" from deliveries where episode = $1 and channel = $2 order by n`
/** What a channel was told of an episode, the oldest first. */
export const toldOf = async (db: Queryable, episode: string, channel: string): Promise<Told[]> =>
  (await db.query<Told>(told, [episode, channel])).rows

const channelsOf = 'select distinct channel from deliveries where episode = $1 order by channel'
/** The channels that were told anything of an episode. */
export const channelsTold = async (db: Queryable, episode: string): Promise<string[]> =>
  (await db.query<{ channel: string }>(channelsOf, [episode])).rows.map(row => row.channel)

const countSince = `select count(*)::int as written from deliveries where channel = $1 and state = 'firing' and created_at > $2`
/** How many notifications of firing alerts were written for a channel after `since`. */
export const writtenSince = async (db: Queryable, channel: string, since: Date): Promise<number> =>
  (await db.query<{ written: number }>(countSince, [channel, since])).rows[0]!.written

export interface Due {
  key: string
  payload: Record<string, unknown>
  /** Of this send, from 1. */
  attempt: number
}
// What came first about an episode is told first, so nobody hears "resolved" before "firing".
const takeDueOnes = `
  update deliveries set attempts = attempts + 1, at = $2, next_at = $3
  where key = any (array(
    select d.key from deliveries d
    where d.channel = $1 and d.status = 'pending' and d.next_at <= $2
      and not exists (select from deliveries e where e.episode = d.episode and e.channel = d.channel and e.status = 'pending' and e.n < d.n)
    order by d.next_at limit $4 for update skip locked
  ))
  returning key, payload, attempts as attempt`
/** Takes what is due on a channel; nobody else gets it until `heldUntil`. A taker that dies leaves it to the next, under the same key. */
export const takeDue = async (db: Queryable, channel: string, now: Date, heldUntil: Date, limit: number): Promise<Due[]> =>
  (await db.query<Due>(takeDueOnes, [channel, now, heldUntil, limit])).rows

const delivered = `update deliveries set status = 'delivered', at = $2, last_error = null where key = $1 and status <> 'delivered'`
/** The receiver took it: true whoever sent it and whatever an earlier attempt said. */
export const closeDelivered = (db: Queryable, key: string, now: Date) => db.query(delivered, [key, now])

// Only the newest attempt speaks: a sender that slept through its hold must not undo what the next one did.
const postponed = `update deliveries set at = $3, next_at = $4, last_error = $5 where key = $1 and attempts = $2 and status = 'pending'`
export const postpone = (db: Queryable, due: Due, now: Date, nextAt: Date, error: Failure) =>
  db.query(postponed, [due.key, due.attempt, now, nextAt, error])

const failed = `update deliveries set status = 'failed', at = $3, last_error = $4 where key = $1 and attempts = $2 and status = 'pending'`
export const closeFailed = (db: Queryable, due: Due, now: Date, error: Failure) => db.query(failed, [due.key, due.attempt, now, error])

const giveUp = `
  update deliveries set status = 'failed', at = $1, last_error = coalesce(last_error, '{"code":"not_taken","message":"no relay has this channel any more"}')
  where status = 'pending' and created_at < $2 and next_at <= $1
  returning channel`
/** Ends what nobody could deliver since `before` (a receiver that is gone, a channel that is no longer configured). Returns the channel of each. */
export const giveUpOn = async (db: Queryable, now: Date, before: Date): Promise<string[]> =>
  (await db.query<{ channel: string }>(giveUp, [now, before])).rows.map(row => row.channel)
