// The events of runs that end, or are lost, without their process: told in the run's name by the scheduler, or by the command that cancels.
import { taskNamed } from '@dbops/catalog/catalog'
import { type Envelope, toEnvelope } from '@dbops/contract/envelope'
import type { Failure } from '@dbops/contract/failure'
import type { SignalName } from '@dbops/contract/signals'
import type { FinalState, Run } from '@dbops/ledger/runs'
import { v7 as uuidv7 } from 'uuid'
import { isNamed } from './operation.ts'
import type { Service } from './service.ts'

/** Of whom the event is: a service, or the command line. */
export type Teller = Pick<Service, 'event'>
/** Of a program that is no service. */
export const tellerOf = (app: string, environment: string): Teller => ({
  event: fact => toEnvelope({ id: uuidv7(), app, environment, at: new Date(), ...fact }),
})
export type LastGood = { id: string; createdAt: Date; location: string }

/**
 * `emits.failed` of the task, or `run_cancelled`; `run_refused`, which opens no alert, where the refusal is an answer to a person: of a command
 * in its own words, whose operation no schedule will ever bring to success, and of what waited for an approval.
 */
export function badEndOf(run: Run, state: FinalState): SignalName {
  if (state === 'cancelled') return 'run_cancelled'
  const task = taskNamed(run.task)
  const isOwnWords = (run.cause.kind === 'command' || run.cause.kind === 'retry') && task !== undefined && !isNamed(task, run.spec.params)
  if (state === 'refused' && (run.state === 'awaiting_approval' || isOwnWords)) return 'run_refused'
  return task?.emits.failed ?? 'run_failed'
}

/** `lastGood`: of a task that produces backups, the newest that there is. */
export function endEvent(
  teller: Teller,
  run: Run,
  state: 'failed' | 'timed_out' | 'refused' | 'cancelled' | 'skipped',
  error: Failure,
  lastGood?: LastGood,
): Envelope {
  const task = taskNamed(run.task)
  return tell(teller, run, badEndOf(run, state), state, error, task?.produces ? (lastGood ?? null) : undefined)
}

export const lostEvent = (teller: Teller, run: Run, error: Failure): Envelope => tell(teller, run, 'run_lost', 'queued', error, undefined)

/** The plan of a run is there, and another person than its asker is to look at it. */
export const approvalWantedEvent = (teller: Teller, run: Run, digest: string): Envelope => {
  const { data, ...event } = tell(teller, run, 'approval_wanted', 'awaiting_approval', null, undefined)
  const approve = `./dbops approve ${run.id.slice(-8)}`
  return { ...event, data: { ...data, result: { digest, askedBy: run.actor, until: run.validUntil.toISOString(), approve } } }
}

/** What ends a run that waits: its end, and with it the wish for an approval, if there was one. */
export const endEvents = (...[teller, run, state, error, lastGood]: Parameters<typeof endEvent>): Envelope[] => [
  endEvent(teller, run, state, error, lastGood),
  ...(run.state === 'awaiting_approval' && run.approval ? [approvalEndedEvent(teller, run, state, error)] : []),
]

/** `state`: what became of the run. */
export const approvalEndedEvent = (teller: Teller, run: Run, state: string, error: Failure | null = null): Envelope =>
  tell(teller, run, 'approval_ended', state, error, undefined)

const tell = (
  teller: Teller,
  run: Run,
  event: SignalName,
  state: string,
  error: Failure | null,
  lastGood: LastGood | null | undefined,
): Envelope =>
  teller.event({
    event,
    subject: run.target ? `${run.engine}/${run.target}` : run.engine,
    operation: run.operation,
    runId: run.id,
    data: {
      task: run.task,
      state,
      attempt: run.attempt,
      mode: run.mode,
      schedule: run.schedule,
      slot: run.slot?.toISOString() ?? null,
      startedAt: run.startedAt?.toISOString() ?? null,
      finishedAt: null,
      result: null,
      error,
      ...(lastGood === undefined ? {} : { lastGood: lastGood && { ...lastGood, createdAt: lastGood.createdAt.toISOString() } }),
    },
  })
