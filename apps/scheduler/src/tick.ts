// Slots that have come become runs, or are recorded as skipped with the reason: every planned slot ends in exactly one final state.
import { createHash } from 'node:crypto'
import type { Failure } from '@dbops/contract/failure'
import { nextSlot, slotsBetween } from '@dbops/contract/slots'
import type { Queryable } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import { inForce, type Pause, standing } from '@dbops/ledger/pauses'
import * as runs from '@dbops/ledger/runs'
import { anyDue, dueSchedules, type ScheduleRow, setDue } from '@dbops/ledger/schedules'
import { cutOffOf } from '@dbops/runtime/operation'
import { judge } from '@dbops/runtime/policy'
import type { Service } from '@dbops/runtime/service'
import { v7 as uuidv7 } from 'uuid'

export type Planner = Pick<Service, 'config' | 'log' | 'event' | 'timers'>

/** More slots of one schedule than this are materialised in several turns. */
const perTurn = 1_000
/** So many runs of one schedule are made up for after an outage, and so many wait behind one another, at most. */
export const mostQueued = 100

export function ticking(service: Service): void {
  service.loop({
    name: 'tick',
    every: 1_000,
    always: true, // a slot is born without Redis too
    turn: async () => {
      const now = await service.ledger.now()
      let more = await anyDue(service.ledger, now)
      while (more && !service.signal.aborted) more = await service.ledger.transaction(db => materialise(db, service, now, 50))
    },
  })
}

/** Materialises what is due at `now`, in the caller's transaction. True when there may be more. */
export async function materialise(db: Queryable, planner: Planner, now: Date, limit = 1_000): Promise<boolean> {
  const due = await dueSchedules(db, now, limit)
  if (!due.length) return false
  const pauses = await standing(db)
  let unfinished = false
  for (const schedule of due) if (await materialiseOne(db, planner, schedule, pauses, now)) unfinished = true
  return unfinished || due.length === limit
}

async function materialiseOne(db: Queryable, planner: Planner, schedule: ScheduleRow, pauses: Pause[], now: Date): Promise<boolean> {
  const { cron, zone } = schedule.spec
  const first = schedule.dueAt!
  // Only what has a cron is ever due.
  const found = [first, ...slotsBetween(cron!, zone, first, now, perTurn - 1)]
  const after = nextSlot(cron!, zone, found.at(-1)!)
  // More than a turn's worth is due: the youngest of all are not among these, or only the last of these are.
  const more = after !== null && after <= now
  const slots = more ? found.slice(0, -mostQueued) : found
  const next = more ? found.at(-mostQueued)! : after
  const { run, skipped } = more ? { run: [], skipped: slots } : choose(slots, schedule.spec, now, planner.timers.lease)
  for (const { slots: alike, why } of byReason(skipped, slot => reasonAt(slot, planner, schedule, pauses, now)))
    await record(db, planner, schedule, alike, why)
  for (const slot of run) await bearSlot(db, planner, schedule, slot, pauses, now)
  await setDue(db, schedule, next)
  return more
}

/**
 * Which of the due slots are run, and which are not: with `latest` the last one, if it is within its catch-up; with `all` those that are, the youngest `mostQueued` of them;
 * with `skip` the last one only when it is on time, which is within one lease: a scheduler that was replaced or restarted is not late.
 */
export function choose(
  slots: Date[],
  { misfire, catchUpMs }: { misfire: 'latest' | 'all' | 'skip'; catchUpMs: number },
  now: Date,
  onTimeMs: number,
): { run: Date[]; skipped: Date[] } {
  const allowed = misfire === 'skip' ? Math.min(onTimeMs, catchUpMs) : catchUpMs
  const inTime = slots.filter(slot => now.getTime() - slot.getTime() <= allowed)
  const run = inTime.slice(misfire === 'all' ? -mostQueued : -1)
  return { run, skipped: slots.slice(0, slots.length - run.length) }
}

async function bearSlot(db: Queryable, planner: Planner, schedule: ScheduleRow, slot: Date, pauses: Pause[], now: Date): Promise<void> {
  const { name, target, spec } = schedule
  const forbidden = forbiddenAt(now, planner, schedule, pauses)
  if (forbidden) return record(db, planner, schedule, [slot], forbidden)
  const overlap = await overlapOf(db, schedule)
  if (overlap) return record(db, planner, schedule, [slot], { code: 'overlap', message: overlap })
  await runs.bear(db, {
    ...birthOf(schedule, slot, now, { kind: 'schedule', schedule: name }),
    notBefore: new Date(Math.max(slot.getTime() + jitter(name, target, slot, spec.jitterMs), now.getTime())),
    startBy: new Date(slot.getTime() + spec.catchUpMs),
  })
}

/** Why a slot has no room beside the runs of its schedule that have not ended; undefined where it has. */
async function overlapOf(db: Queryable, { name, target, spec }: ScheduleRow): Promise<string | undefined> {
  if (spec.overlap === 'queue')
    return (await runs.countUnfinished(db, name, target, mostQueued)) < mostQueued
      ? undefined
      : `${mostQueued} runs of this schedule had not ended`
  const before = await runs.unfinishedOf(db, name, target)
  return before && `run ${before.slice(-8)} of this schedule had not ended`
}

/** A run of this schedule that may begin at once. */
export function birthOf({ name, target, task, spec }: ScheduleRow, slot: Date, now: Date, cause: runs.Birth['cause']): runs.Birth {
  return {
    id: uuidv7(),
    task,
    engine: spec.engine,
    lane: spec.lane,
    target,
    mode: 'do',
    cause,
    actor: 'scheduler',
    schedule: name,
    slot,
    operation: spec.operation,
    spec: { params: spec.params, entries: spec.entries, ...cutOffOf(spec.entries, slot), ...(spec.window ? { window: spec.window } : {}) },
    locks: spec.locks,
    priority: spec.priority,
    notBefore: now,
    validUntil: new Date(now.getTime() + spec.deadlineMs),
    attempts: spec.attempts,
    retry: spec.retry,
    backoffMs: spec.backoffMs,
    timeoutMs: spec.timeoutMs,
    recovers: spec.recovers,
    policy: { verdict: 'allow', at: now.toISOString() },
  }
}

/** What keeps runs of this schedule from being born at a moment: a pause, a blackout, a closed window. */
export function forbiddenAt(
  at: Date,
  { config }: Planner,
  { name, target, task, spec }: ScheduleRow,
  pauses: Pause[],
): Failure | undefined {
  const pause = inForce(
    pauses.filter(({ createdAt }) => createdAt <= at),
    { schedule: name, target, task },
  )
  if (pause) return { code: 'paused', message: `paused by ${pause.actor} until ${pause.until.toISOString()}` }
  const verdict = judge({ task, target, window: spec.window }, config, at)
  return verdict.verdict === 'allow' ? undefined : { code: verdict.rule, message: verdict.reason }
}

/** Why a slot that is not run was not: what forbade it as it fell due; else it was overtaken by the next (a turn took a while), or nobody was there. */
function reasonAt(slot: Date, planner: Planner, schedule: ScheduleRow, pauses: Pause[], now: Date): Failure {
  const forbidden = forbiddenAt(slot, planner, schedule, pauses)
  if (forbidden) return forbidden
  if (now.getTime() - slot.getTime() <= planner.timers.lease)
    return { code: 'overtaken', message: 'the next slot fell due before it could begin' }
  return { code: 'late', message: `it fell due while no scheduler ran; misfire is "${schedule.spec.misfire}"` }
}

/** Slots that follow one another for one reason, together. */
function byReason(slots: Date[], reasonOf: (slot: Date) => Failure): { slots: Date[]; why: Failure }[] {
  const groups: { slots: Date[]; why: Failure }[] = []
  for (const slot of slots) {
    const why = reasonOf(slot)
    const last = groups.at(-1)
    if (last?.why.code === why.code) last.slots.push(slot)
    else groups.push({ slots: [slot], why })
  }
  return groups
}

/** Slots that will not be run, with the reason. */
export async function record(db: Queryable, planner: Planner, schedule: ScheduleRow, slots: Date[], why: Failure): Promise<void> {
  const { name, target, task, spec } = schedule
  const [from, to] = [slots[0]!, slots.at(-1)!]
  await runs.skip(
    db,
    {
      schedule: name,
      target,
      task,
      engine: spec.engine,
      lane: spec.lane,
      operation: spec.operation,
      reason: why.code,
      from,
      to,
      slots: slots.length,
    },
    why,
  )
  planner.log.info(
    { event: 'slots_skipped', schedule: name, target, reason: why.code, slots: slots.length, from, to },
    `${name}: ${why.message}`,
  )
  // A person's pause, a window and a blackout are meant; being late or overtaken is not.
  if (why.code !== 'late') return
  await publish(db, [
    planner.event({
      event: 'schedule_missed',
      subject: target ? `${spec.engine}/${target}` : spec.engine,
      operation: spec.operation,
      data: { schedule: name, from: from.toISOString(), to: to.toISOString(), slots: slots.length, reason: why.message },
    }),
  ])
}

/** The same for the same slot, so that two schedulers agree: a share of `max` by a hash. */
const jitter = (schedule: string, target: string | null, slot: Date, max: number): number =>
  max === 0
    ? 0
    : Math.floor((createHash('sha256').update(`${schedule}/${target}/${slot.toISOString()}`).digest().readUInt32BE(0) / 2 ** 32) * max)
