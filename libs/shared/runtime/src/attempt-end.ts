// How an attempt ends: well, with its facts and its event; or badly, with the state that follows from the reason, after the world was put back.
import type { ArtifactWriter } from '@dbops/artifacts/writer'
import { type Failure, failureOf, Later, Permanent, Refused } from '@dbops/contract/failure'
import type { SignalName } from '@dbops/contract/signals'
import { lastGood } from '@dbops/ledger/artifacts'
import * as runs from '@dbops/ledger/runs'
import { type Attempt, HeldElsewhere, NotProven, Parked, TimedOut, untilLedger, WindowClosed } from './attempt.ts'
import { backoff } from './backoff.ts'
import { Cancelled, Superseded } from './leases.ts'
import { putBack } from './put-back.ts'
import { redact, redactAll } from './redact.ts'
import { badEndOf } from './run-events.ts'
import type { RunLog } from './run-log.ts'

export interface GoodEnd {
  state: 'succeeded'
  result: Record<string, unknown>
  evidence?: Record<string, unknown>
  artifact?: NonNullable<runs.End['artifact']>
}

export async function ended<V>(a: Attempt<V>, log: RunLog, good: GoodEnd, event?: SignalName): Promise<void> {
  const { service, run } = a
  log.add('info', run.mode === 'plan' ? 'planned' : 'succeeded')
  await log.flush()
  const events = event ? [eventOf(a, event, { state: 'succeeded', result: good.result, error: null })] : []
  await finish(a, { fence: run.fence!, ...good, events })
  service.log.info(
    {
      event: event ?? 'run_planned',
      run: run.id,
      task: run.task,
      target: run.target,
      operation: run.operation,
      ms: Date.now() - (run.attemptAt?.getTime() ?? Date.now()),
    },
    `${run.operation} ${run.mode === 'plan' ? 'planned' : 'succeeded'}`,
  )
}

export async function endedBadly<V>(
  a: Attempt<V>,
  log: RunLog,
  reason: unknown,
  { writer, begun }: { writer: ArtifactWriter | undefined; begun: boolean },
): Promise<void> {
  const { service, run, task } = a
  const fence = run.fence!
  const { ledger } = service
  if (reason instanceof Superseded) return takenOver(a, 'stops')
  if (reason instanceof Parked) {
    log.add('info', `parked until ${reason.until.toISOString()}`)
    await untilLedger(a, () => runs.park(ledger, fence, reason.until, reason.state))
    return
  }
  if (reason instanceof HeldElsewhere) {
    // Nothing was begun. A run that had been parked keeps its locks: the world is as it left it.
    const keepLocks = run.stateKept !== null
    return giveBack(a, { after: service.timers.heartbeat, as: 'waits', waitingFor: 'another installation', keepLocks })
  }
  if (run.mode === 'do' && (begun || run.stateKept)) await putBack(a, log, writer)
  const error = redacted(failureOf(reason))
  if (reason instanceof Later) {
    log.add('info', `again at ${clockIn(reason.after)}: ${error.message}`)
    return giveBack(a, { after: reason.after, as: 'later', waitingFor: error.message, error })
  }
  const stopping = error.code === 'stopping' || reason instanceof WindowClosed
  const irreversible = run.retry === 'never' && run.guarded
  if (stopping && !irreversible) {
    log.add('info', `let go: ${error.message}`)
    return giveBack(a, { after: 0, as: 'released', waitingFor: error.message })
  }
  const cancelled = reason instanceof Cancelled
  const refused = reason instanceof Refused
  const final =
    cancelled ||
    refused ||
    reason instanceof Permanent ||
    reason instanceof NotProven ||
    run.mode === 'plan' ||
    irreversible ||
    run.attempt >= run.attempts
  log.add('error', `${error.code}: ${error.message}`, error.hint ? { hint: error.hint } : undefined)
  const after = final ? 0 : backoff(run)
  if (!final) log.add('info', `attempt ${run.attempt} of ${run.attempts} has failed; again at ${clockIn(after)}`)
  await log.flush()
  if (!final) {
    const told = `${run.operation}: attempt ${run.attempt} of ${run.attempts} failed: ${error.message}; again at ${clockIn(after)}`
    service.log.warn({ event: 'attempt_failed', ...about(a), attempt: run.attempt, code: error.code, retryInMs: after }, told)
    return giveBack(a, { after, as: 'retry', waitingFor: `retry after: ${error.message}`, error })
  }
  const state = cancelled ? 'cancelled' : refused ? 'refused' : reason instanceof TimedOut ? 'timed_out' : 'failed'
  const told = stopping
    ? {
        code: 'interrupted',
        message: `${error.message} while the outcome was open`,
        hint: 'look at the target before you retry: this task is never repeated by itself',
      }
    : error
  const event = badEndOf(run, state)
  const proof: Pick<runs.End, 'result' | 'evidence'> =
    reason instanceof NotProven ? redactAll({ result: reason.facts, evidence: reason.proof.evidence }) : {}
  const facts = { state, result: proof.result ?? null, error: told }
  // The last good backup is part of the message: it says what is still there.
  const good = task.produces && run.target ? await untilLedger(a, () => lastGood(ledger, run.operation, run.target!)) : undefined
  const extra = good ? { lastGood: { ...good, createdAt: good.createdAt.toISOString() } } : task.produces ? { lastGood: null } : {}
  await finish(a, { fence, state, error: told, ...proof, events: run.mode === 'do' ? [eventOf(a, event, { ...facts, ...extra })] : [] })
  service.log[state === 'cancelled' ? 'info' : 'error'](
    { event, ...about(a), code: told.code, hint: told.hint },
    `${run.operation} ${state}: ${told.message}`,
  )
}

/** The time of the day after so many milliseconds: `12:03:10 UTC`. */
const clockIn = (ms: number) => `${new Date(Date.now() + ms).toISOString().slice(11, 19)} UTC`

/** Back to the queue. A session that was ended from outside is often the first sign of having been taken over. */
async function giveBack<V>(a: Attempt<V>, how: Omit<Parameters<typeof runs.requeue>[1], 'fence'>): Promise<void> {
  if (!(await untilLedger(a, () => runs.requeue(a.service.ledger, { fence: a.run.fence!, ...how })))) takenOver(a, 'is not given back')
}

/** Writes the end, however long the ledger is away; gives up only when this process stops. */
async function finish<V>(a: Attempt<V>, end: runs.End): Promise<void> {
  const { ledger } = a.service
  const write = () => (end.artifact ? ledger.transaction(db => runs.end(db, end)) : runs.end(ledger, end))
  if ((await untilLedger(a, write)) === 'superseded') takenOver(a, `ended as ${end.state}`)
}

const takenOver = <V>(a: Attempt<V>, what: string) =>
  a.service.log.warn(
    { event: 'attempt_superseded', ...about(a), fence: a.run.fence },
    `run ${a.run.id}: this attempt ${what}, but it had been taken over; nothing is written`,
  )

const about = <V>({ run }: Attempt<V>) => ({ run: run.id, task: run.task, target: run.target, operation: run.operation })

export const redacted = (failure: Failure): Failure => ({
  ...failure,
  message: redact(failure.message),
  ...(failure.hint ? { hint: redact(failure.hint) } : {}),
})

export function eventOf<V>(
  { service, run }: Pick<Attempt<V>, 'service' | 'run'>,
  event: SignalName,
  facts: { state: string; result: Record<string, unknown> | null; error: Failure | null; lastGood?: unknown },
) {
  return service.event({
    event,
    subject: run.target ? `${run.engine}/${run.target}` : run.engine,
    operation: run.operation,
    runId: run.id,
    data: {
      task: run.task,
      attempt: run.attempt,
      mode: run.mode,
      schedule: run.schedule,
      slot: run.slot?.toISOString() ?? null,
      startedAt: (run.startedAt ?? run.attemptAt)?.toISOString() ?? null,
      finishedAt: new Date().toISOString(),
      ...facts,
    },
  })
}
