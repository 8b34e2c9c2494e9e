// Schedules that run for an event: reads dbops:events, gathers what comes within the debounce, and bears one run when that is over. An event during a run makes exactly one more.
import { signalOf } from '@dbops/contract/envelope'
import type { Queryable } from '@dbops/ledger/ledger'
import { standing } from '@dbops/ledger/pauses'
import * as runs from '@dbops/ledger/runs'
import type { ScheduleRow } from '@dbops/ledger/schedules'
import { anyTriggerDue, awaitedOf, postponeTrigger, recordEvent, schedulesTriggered, takeTrigger } from '@dbops/ledger/triggers'
import { consume } from '@dbops/runtime/bus'
import { judge } from '@dbops/runtime/policy'
import type { Service } from '@dbops/runtime/service'
import { birthOf, forbiddenAt, type Planner, record } from './tick.ts'

/** The scheduler's consumer group in dbops:events. */
export const group = 'scheduler'

export function triggering(service: Service): void {
  const { ledger, log, metrics, signal, name: consumer } = service
  const blocking = service.redis('blocking')
  const stale = metrics.counter(
    'dbops_stale_events_total',
    'events from long before the schedules that run for them were known: they bear no run',
    [],
  )
  let turned = performance.now()
  service.mustTurn('the reader of dbops:events', () => performance.now() - turned)
  const reading = consume({
    group,
    consumer,
    blocking,
    prompt: service.redis('prompt'),
    concerns: signals => awaitedOf(ledger, signals),
    handle: async (db, { id, type, time }) => {
      const counted = await recordEvent(db, { id, event: signalOf(type)!, at: new Date(time) })
      for (const { schedule, events } of counted)
        if (events === 1) log.info({ event: 'trigger_set', schedule, id }, `${schedule}: ${signalOf(type)} came`)
      if (counted.length) return
      stale.inc()
      log.debug({ event: 'event_stale', id, time }, `${signalOf(type)} of ${time} is older than the schedules that run for it: no run`)
    },
    onTurn: () => void (turned = performance.now()),
    ledger,
    signal,
    log,
    metrics,
  })
  service.onStop(() => {
    blocking.disconnect() // or its read would last out its five seconds
    return reading
  })
  service.loop({
    name: 'triggers',
    every: 1_000,
    always: true, // as slots, without Redis too
    turn: async alive => {
      const now = await ledger.now()
      let more = await anyTriggerDue(ledger, now)
      while (more && !signal.aborted) {
        more = await ledger.transaction(db => fire(db, service, now, 50))
        alive()
      }
    },
  })
}

/** Bears the runs of the triggers that are due at `now`, in the caller's transaction. True when there may be more. */
export async function fire(db: Queryable, planner: Planner, now: Date, limit = 1_000): Promise<boolean> {
  const due = await schedulesTriggered(db, now, limit)
  const pauses = due.length ? await standing(db) : []
  for (const schedule of due) {
    // Looked at again under the schedule's lock: another scheduler may have borne it in between.
    if (await runs.unfinishedOf(db, schedule.name, schedule.target)) continue
    const forbidden = forbiddenAt(now, planner, schedule, pauses)
    if (forbidden?.code === 'window') await postponeTrigger(db, schedule, opening(planner, schedule, now))
    else await bearTriggered(db, planner, schedule, forbidden, now)
  }
  return due.length === limit
}

async function bearTriggered(
  db: Queryable,
  planner: Planner,
  schedule: ScheduleRow,
  forbidden: ReturnType<typeof forbiddenAt>,
  now: Date,
): Promise<void> {
  const trigger = await takeTrigger(db, schedule, now)
  if (!trigger) return
  const { event, events, lastEvent, fireAt } = trigger
  if (forbidden) return record(db, planner, schedule, [fireAt], forbidden)
  await runs.bear(db, birthOf(schedule, fireAt, now, { kind: 'event', schedule: schedule.name, event, events, id: lastEvent }))
}

/** When the window of a schedule, closed now, opens. */
function opening({ config }: Planner, { task, target, spec }: ScheduleRow, now: Date): Date {
  const verdict = judge({ task, target, window: spec.window }, config, now)
  return verdict.verdict === 'wait' ? verdict.until : now
}
