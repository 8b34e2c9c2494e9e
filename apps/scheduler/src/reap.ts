// Takes runs away from processes that are gone, and ends what can never begin. In a total crash loop nobody else would speak.
import { lastGood } from '@dbops/ledger/artifacts'
import { clockOf, type Queryable } from '@dbops/ledger/ledger'
import * as runs from '@dbops/ledger/runs'
import { backoff } from '@dbops/runtime/backoff'
import { endEvent, endEvents, lostEvent } from '@dbops/runtime/run-events'
import type { Service } from '@dbops/runtime/service'

export function reaping(service: Service): void {
  const { ledger, timers } = service
  service.loop({
    name: 'reap',
    every: timers.reap,
    always: true,
    turn: async () => {
      if (await runs.reaperRests(ledger, timers.reap, timers.lease)) return
      await ledger.transaction(db => reapLost(db, service))
      await ledger.transaction(db => endOverdue(db, service))
    },
  })
}

/** What becomes of a run whose lease ran out. Pure. */
export function fate(
  run: Pick<
    runs.Run,
    'cancelAsked' | 'cancelActor' | 'validUntil' | 'retry' | 'guarded' | 'attempt' | 'attempts' | 'losses' | 'backoffMs' | 'worker' | 'mode'
  >,
  now: Date,
): runs.Fate {
  const lost = `the attempt was lost with ${run.worker ?? 'its process'}`
  if (run.mode === 'recover') return { to: 'queued', after: run.losses === 0 ? 0 : backoff(run), error: { code: 'lost', message: lost } }
  if (run.cancelAsked) return { to: 'cancelled', error: { code: 'cancelled', message: `cancelled by ${run.cancelActor ?? 'somebody'}` } }
  if (run.validUntil <= now) return { to: 'timed_out', error: { code: 'deadline', message: `its deadline passed; ${lost}` } }
  if (run.retry === 'never' && run.guarded)
    return {
      to: 'failed',
      error: {
        code: 'outcome_unknown',
        message: `${lost} after it had begun to act; the outcome is unknown`,
        hint: 'look at the target before you retry: this task is never repeated by itself',
      },
    }
  if (run.mode === 'plan') return { to: 'failed', error: { code: 'lost', message: lost, hint: 'a plan changes nothing: ask again' } }
  if (run.attempt < run.attempts)
    return { to: 'queued', after: run.losses === 0 ? 0 : backoff(run), error: { code: 'lost', message: lost } }
  return {
    to: 'failed',
    error: {
      code: 'lost',
      message: `${lost}, and it was the last of ${run.attempts} attempts`,
      hint: 'does the task end its own process? "dbops logs" shows its last lines',
    },
  }
}

async function reapLost(db: Queryable, service: Service): Promise<void> {
  const now = await clockOf(db)
  for (const run of await runs.expired(db, service.timers.reap)) {
    const what = fate(run, now)
    const event =
      run.mode !== 'do'
        ? undefined
        : what.to === 'queued' || runs.isRecovered(run) // how it ends is told when its recovery is done
          ? lostEvent(service, run, what.error)
          : endEvent(service, run, what.to, what.error, await goodOf(db, run))
    await runs.lose(db, run, what, event ? [event] : [])
    service.log.warn(
      { event: 'run_lost', run: run.id, task: run.task, target: run.target, fence: run.fence, to: what.to },
      `${run.operation}: ${what.error.message}`,
    )
  }
}

/** Ends what waits and can never begin. */
export async function endOverdue(db: Queryable, service: Pick<Service, 'event' | 'log'>): Promise<void> {
  const now = await clockOf(db)
  for (const run of await runs.overdue(db)) {
    if (run.startBy && run.startBy < now && run.fence === null && run.state === 'queued' && run.validUntil > now) {
      await runs.endWaiting(
        db,
        run,
        'skipped',
        {
          code: 'not_started',
          message: `nobody began it within its catch-up, until ${run.startBy.toISOString()}${run.waitingFor ? `; it waited for ${run.waitingFor}` : ''}`,
        },
        [],
      )
      service.log.warn(
        { event: 'slots_skipped', run: run.id, schedule: run.schedule, reason: 'not_started' },
        `${run.operation}: nobody began it within its catch-up`,
      )
      continue
    }
    if (run.state === 'awaiting_approval') {
      const error = expired(run)
      await runs.endWaiting(db, run, 'refused', error, endEvents(service, run, 'refused', error, await goodOf(db, run)))
      continue
    }
    const cancelled = run.cancelAsked !== null
    const error = cancelled
      ? { code: 'cancelled', message: `cancelled by ${run.cancelActor ?? 'somebody'}` }
      : {
          code: 'deadline',
          message: `its deadline passed while it was ${run.state}${run.waitingFor ? `, waiting for ${run.waitingFor}` : ''}`,
        }
    const state = cancelled ? 'cancelled' : 'timed_out'
    await runs.endWaiting(db, run, state, error, run.mode === 'do' ? endEvents(service, run, state, error, await goodOf(db, run)) : [])
  }
}

const expired = (run: runs.Run) => ({
  code: 'approval_expired',
  message: run.approval
    ? `nobody approved it until ${run.validUntil.toISOString()}`
    : `its plan was not made until ${run.validUntil.toISOString()}`,
  hint: run.approval ? 'approval_wanted tells who is to look: is anybody subscribed? Ask again' : 'is a maintainer of this target running?',
})

const goodOf = (db: Queryable, run: runs.Run) => (run.target ? lastGood(db, run.operation, run.target) : Promise.resolve(undefined))
