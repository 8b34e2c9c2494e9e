// Triggers: events that a standing schedule runs for, gathered from the first one on until the run is born. An event is counted once, in the transaction of the inbox.
import type { Queryable } from './ledger.ts'
import { type ScheduleRow, scheduleColumns } from './schedules.ts'

export interface Trigger {
  schedule: string
  target: string | null
  event: string
  firstEventAt: Date
  /** First event + debounce, or the opening of the window that was closed then: the slot of the run. */
  fireAt: Date
  events: number
  lastEvent: string
}

const columns = `t.schedule, nullif(t.target, '') as target, t.event, t.first_event_at as "firstEventAt", t.fire_at as "fireAt", t.events, t.last_event as "lastEvent"`
const standing = `s.enabled and s.spec ->> 'event' = $1`

const awaited = `select distinct s.spec ->> 'event' as event from schedules s where s.enabled and s.spec ->> 'event' = any($1)`
/** Those of these names of events that a standing schedule runs for. */
export const awaitedOf = async <Name extends string>(db: Queryable, events: Name[]): Promise<Set<Name>> =>
  new Set((await db.query<{ event: Name }>(awaited, [events])).rows.map(({ event }) => event))

// An event from before a stop of the schedulers is due at once; one whose clock runs ahead waits no longer than the debounce. A group of readers that is new reads the stream
// from its beginning: what was told long before a schedule was known was not told to it. In a system that starts, services tell before the first plan; hence the hour.
const upsert = `
  insert into triggers as t (schedule, target, event, first_event_at, fire_at, last_event)
  select s.name, s.target, $1, first.at, greatest(first.at + (s.spec ->> 'debounceMs')::bigint * interval '1 ms', clock_timestamp()), $2
  from schedules s, (select least($3::timestamptz, clock_timestamp()) as at) first
  where ${standing} and $3::timestamptz >= s.planned_at - interval '1 hour' order by s.name, s.target
  on conflict (schedule, target) do update set events = t.events + 1, last_event = excluded.last_event
  returning t.schedule, t.events`

/**
 * Counts an event for every standing schedule that runs for it; the first one sets the time. In the caller's transaction, with the inbox as its guard. Answers those schedules: none where
 * the event is stale, older by an hour than each of them.
 */
export const recordEvent = async (
  db: Queryable,
  { id, event, at }: { id: string; event: string; at: Date },
): Promise<{ schedule: string; events: number }[]> => (await db.query<{ schedule: string; events: number }>(upsert, [event, id, at])).rows

const dueTriggers = `
  from triggers t join schedules s on s.name = t.schedule and s.target = t.target
  where t.fire_at <= $1 and s.enabled
    and not exists (select 1 from runs r where r.schedule = s.name and coalesce(r.target, '') = s.target and r.state in ('awaiting_approval', 'queued', 'running', 'parked'))`

/** Whether a trigger has come to its time, and no run of its schedule is in its way. */
export const anyTriggerDue = async (db: Queryable, now: Date): Promise<boolean> =>
  (await db.query(`select 1 ${dueTriggers} limit 1`, [now])).rows.length > 0

/** The schedules of such triggers, locked for the caller's transaction; those that another scheduler has in hand are passed over. */
export const schedulesTriggered = async (db: Queryable, now: Date, limit: number): Promise<ScheduleRow[]> =>
  (
    await db.query<ScheduleRow>(`select ${scheduleColumns('s.')} ${dueTriggers} order by t.fire_at limit $2 for update of s skip locked`, [
      now,
      limit,
    ])
  ).rows

const take = `delete from triggers t where t.schedule = $1 and t.target = coalesce($2, '') and t.fire_at <= $3 returning ${columns}`
/** Ends a trigger whose time has come: its run is born, or it is recorded as skipped, in the same transaction. Undefined when another scheduler was first. */
export const takeTrigger = async (db: Queryable, of: { name: string; target: string | null }, now: Date): Promise<Trigger | undefined> =>
  (await db.query<Trigger>(take, [of.name, of.target, now])).rows[0]

/** Waits for the opening of a window; what comes until then is counted with it. */
export const postponeTrigger = (db: Queryable, of: { name: string; target: string | null }, until: Date) =>
  db.query(`update triggers set fire_at = $3 where schedule = $1 and target = coalesce($2, '')`, [of.name, of.target, until])

/** What waits for its time, the nearest first. */
export const listTriggers = async (db: Queryable): Promise<Trigger[]> =>
  (await db.query<Trigger>(`select ${columns} from triggers t order by t.fire_at`)).rows
