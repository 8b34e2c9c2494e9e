// Alerts and their episodes: what is wrong, since when, and what was decided about telling it. One alert per rule, environment, subject and operation; never per run.
import type { Envelope } from '@dbops/contract/envelope'
import { type Severity, severities } from '@dbops/contract/signals'
import { v7 as uuidv7 } from 'uuid'
import { recordDeed } from './audit.ts'
import type { Queryable } from './ledger.ts'

export const alertStates = ['firing', 'resolved'] as const
export type AlertState = (typeof alertStates)[number]

/** What makes two failures the same alert. `subject` is `<engine>/<target>`, or an app for its own affairs. */
export interface Identity {
  /** The event that opens it. */
  name: string
  environment: string
  subject: string
  operation: string
}

export interface Episode {
  id: string
  fingerprint: string
  name: string
  environment: string
  engine: string | null
  target: string | null
  operation: string
  /** Counted per alert, from 1. */
  n: number
  state: AlertState
  severity: Severity
  since: Date
  resolvedAt: Date | null
  failures: number
  /** The newest failure. */
  event: Envelope
  /** The success that ended it; null where a person did. */
  resolvedBy: Envelope | null
  /** The person who ended it by hand. */
  endedBy: string | null
}

/** Readable, so that it can be typed into a query: `backup_failed prod pg/core pg.dump:metadata`. The operation comes last: only it may hold spaces. */
export const fingerprintOf = (i: Identity) => `${i.name} ${i.environment} ${i.subject} ${i.operation}`

const lockAlert = `
  insert into alerts (fingerprint, name, environment, engine, target, operation) values ($1, $2, $3, $4, $5, $6)
  on conflict (fingerprint) do update set name = excluded.name
  returning last_success_at as "lastSuccessAt"`

/** Locks the alert's row until the end of the transaction, making it when it is new. */
async function lock(db: Queryable, i: Identity): Promise<{ fingerprint: string; lastSuccessAt: Date | null }> {
  const fingerprint = fingerprintOf(i)
  const [, engine = null, target = null] = /^([^/]+)\/(.+)$/.exec(i.subject) ?? []
  const { rows } = await db.query<{ lastSuccessAt: Date | null }>(lockAlert, [
    fingerprint,
    i.name,
    i.environment,
    engine,
    target,
    i.operation,
  ])
  return { fingerprint, lastSuccessAt: rows[0]!.lastSuccessAt }
}

const columns = `
  e.id, e.fingerprint, a.name, a.environment, a.engine, a.target, a.operation, e.n, e.state, e.severity, e.since, e.resolved_at as "resolvedAt",
  e.failures, e.event, e.resolved_by as "resolvedBy", e.ended_by as "endedBy"`

// Events may come in any order: the oldest failure says since when, the newest what is told.
const goOn = `
  update episodes e set failures = e.failures + 1, since = least(e.since, $2), last_at = greatest(e.last_at, $2), look_at = $4,
    event = case when $2 >= e.last_at then $3 else e.event end,
    severity = case when $2 >= e.last_at then $5 else e.severity end
  from alerts a
  where e.fingerprint = $1 and e.state = 'firing' and a.fingerprint = e.fingerprint
  returning ${columns}`
const open = `
  with a as (
    update alerts set episodes = episodes + 1 where fingerprint = $1 returning *
  ), e as (
    insert into episodes (id, fingerprint, n, state, severity, since, last_at, event, look_at)
    select $6, fingerprint, episodes, 'firing', $5, $2, $2, $3, $4 from a returning *
  )
  select ${columns} from e, a`

/**
 * A failure: goes on with the alert's open episode or opens its next. `already_resolved`: the operation has succeeded since. `lookAt` is when the episode is to be
 * looked at again if nothing happens. In the caller's transaction.
 */
export async function recordFailure(db: Queryable, i: Identity, event: Envelope, lookAt: Date): Promise<Episode | 'already_resolved'> {
  const { fingerprint, lastSuccessAt } = await lock(db, i)
  const at = new Date(event.time)
  if (lastSuccessAt && at < lastSuccessAt) return 'already_resolved'
  const values = [fingerprint, at, event, lookAt, event.severity]
  const { rows } = await db.query<Episode>(goOn, values)
  return rows[0] ?? (await db.query<Episode>(open, [...values, uuidv7()])).rows[0]!
}

const noteSuccess = 'update alerts set last_success_at = greatest(last_success_at, $2) where fingerprint = $1'
const resolve = `
  update episodes e set state = 'resolved', resolved_at = $2, resolved_by = $3, look_at = null
  from alerts a
  where e.fingerprint = $1 and e.state = 'firing' and e.last_at <= $2 and a.fingerprint = e.fingerprint
  returning ${columns}`

/** A success: kept as the alert's last one also when nothing is open. Returns the episode that it ended; a failure newer than it stays open. In the caller's transaction. */
export async function recordSuccess(db: Queryable, i: Identity, event: Envelope): Promise<Episode | undefined> {
  const { fingerprint } = await lock(db, i)
  const at = new Date(event.time)
  await db.query(noteSuccess, [fingerprint, at])
  return (await db.query<Episode>(resolve, [fingerprint, at, event])).rows[0]
}

// Looked at at once: the relay tells the end, by its own rules. Clocks differ: an episode does not end before its newest failure.
const endByHand = `
  update episodes set state = 'resolved', resolved_at = greatest($2, last_at), ended_by = $3, look_at = $2
  where id = $1 and state = 'firing' returning fingerprint`

/**
 * A person ends an episode whose operation will never succeed again. False, and nothing written: it does not fire any more. Whatever failure is heard after
 * this opens the alert's next episode, also one from before: the person had not seen it. Written into the audit; in the caller's transaction.
 */
export async function resolveByHand(db: Queryable, id: string, actor: string, now: Date): Promise<boolean> {
  const { rows } = await db.query<{ fingerprint: string }>(endByHand, [id, now, actor])
  if (!rows[0]) return false
  await recordDeed(db, { actor, action: 'resolve', subject: id, detail: rows[0] })
  return true
}

const takeDueLooks = `
  update episodes e set look_at = case e.state when 'firing' then $2::timestamptz end
  from alerts a
  where a.fingerprint = e.fingerprint and e.id = any (array(
    select id from episodes where look_at <= $1
    order by look_at limit $3 for update skip locked
  ))
  returning ${columns}`

/** The episodes that are due to be looked at again, locked until the end of the transaction; the worst come first. One that a person has ended comes once. */
export async function takeToLookAt(db: Queryable, now: Date, lookAt: Date, limit: number): Promise<Episode[]> {
  const { rows } = await db.query<Episode>(takeDueLooks, [now, lookAt, limit])
  return rows.toSorted((a, b) => rank(b.severity) - rank(a.severity) || a.since.getTime() - b.since.getTime())
}
const rank = (severity: Severity) => severities.indexOf(severity)

const firingOnTarget = `
  select a.name from episodes e join alerts a using (fingerprint)
  where e.state = 'firing' and a.environment = $1 and a.engine = $2 and a.target = $3 and a.name = any ($4) and e.id <> $5 limit 1`

/** The name of another alert, one of `names`, that fires on the episode's target; undefined when none does. */
export const firingBeside = async (db: Queryable, e: Episode, names: readonly string[]): Promise<string | undefined> =>
  e.target === null
    ? undefined
    : (await db.query<{ name: string }>(firingOnTarget, [e.environment, e.engine, e.target, names, e.id])).rows[0]?.name

export interface Decision {
  at: Date
  fingerprint: string
  episode?: string
  channel?: string
  event?: string
  reason: string
}
const decide = 'insert into decisions (at, fingerprint, episode, channel, event, reason) values ($1, $2, $3, $4, $5, $6)'
export const recordDecision = (db: Queryable, d: Decision) =>
  db.query(decide, [d.at, d.fingerprint, d.episode ?? null, d.channel ?? null, d.event ?? null, d.reason])

export interface AlertRow {
  id: string
  name: string
  severity: Severity
  target: string | null
  operation: string
  state: AlertState
  since: Date
  /** The person who ended it by hand. */
  endedBy: string | null
  deliveries: { channel: string; state: 'pending' | 'delivered' | 'failed'; key: string; at: string }[]
}

const rowsOf = `
  select e.id, a.name, e.severity, a.target, a.operation, e.state, e.since, e.ended_by as "endedBy",
    coalesce((
      select jsonb_agg(jsonb_build_object('channel', d.channel, 'state', d.status, 'key', d.key,
        'at', to_char(d.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) order by d.n)
      from deliveries d where d.episode = e.id), '[]') as deliveries
  from episodes e join alerts a using (fingerprint)`
const newest = `${rowsOf}
  where $1::text is null or e.state = $1
  order by e.since desc, e.id desc limit $2`

/** Episodes with their deliveries, the newest first. */
export const listAlerts = async (db: Queryable, { state, limit }: { state?: AlertState; limit: number }): Promise<AlertRow[]> =>
  (await db.query<AlertRow>(newest, [state ?? null, limit])).rows

const byTail = `${rowsOf} where right(e.id::text, 8) = right($1, 8) and e.id::text like '%' || $1 order by e.id desc limit 2`
/** At most two whose id ends in `tail`. */
export const findAlerts = async (db: Queryable, tail: string): Promise<AlertRow[]> => (await db.query<AlertRow>(byTail, [tail])).rows

const countFiring = `select severity, count(*)::int as firing from episodes where state = 'firing' group by severity`
export const firingBySeverity = async (db: Queryable): Promise<{ severity: Severity; firing: number }[]> =>
  (await db.query<{ severity: Severity; firing: number }>(countFiring)).rows

const sweepEpisodes = `
  delete from episodes where id = any (array(select id from episodes where state = 'resolved' and resolved_at < $1 order by resolved_at limit 1000))`
const sweepDecisions = 'delete from decisions where n = any (array(select n from decisions where at < $1 order by at limit 5000))'
/** Forgets episodes resolved before `before`, with their deliveries, and decisions of that age; a batch at a time. What still fires is kept. */
export async function sweepAlerts(db: Queryable, before: Date): Promise<void> {
  await db.query(sweepEpisodes, [before])
  await db.query(sweepDecisions, [before])
}

/** The ledger's time of this transaction: what decisions are made by. */
export const timeOf = async (db: Queryable): Promise<Date> => (await db.query<{ now: Date }>('select now() as now')).rows[0]!.now
