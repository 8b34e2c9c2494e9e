// The context that a handler gets: its parameters, its state, and the verbs that reach the ledger under this attempt's fence.
import type { ArtifactWriter } from '@dbops/artifacts/writer'
import { Permanent } from '@dbops/contract/failure'
import { isKeepable } from '@dbops/contract/keepable'
import type { Engine } from '@dbops/contract/names'
import type { SignalName } from '@dbops/contract/signals'
import type { AnyContext, Task } from '@dbops/contract/task'
import { saveFindings } from '@dbops/ledger/findings'
import { publish } from '@dbops/ledger/outbox'
import * as runs from '@dbops/ledger/runs'
import { type Attempt, Parked, superseded, untilLedger } from './attempt.ts'
import { backupsOf } from './attempt-backups.ts'
import { findingEvent } from './finding-event.ts'
import { permitOf } from './permit.ts'
import { redact, redactAll } from './redact.ts'
import type { RunLog } from './run-log.ts'

const maxState = 64 * 1024

const permittedUntil = (run: runs.Run) => {
  const permit = permitOf(run)
  return permit ? { permittedUntil: permit.until } : {}
}

/** It comes back as it was, or is not taken: a place in the work that reads a little differently would leave some of it out. */
function stateToKeep<V>(task: Task<V>, given: unknown): Record<string, unknown> {
  const text = JSON.stringify(task.state.parse(given))
  const size = Buffer.byteLength(text)
  if (size > maxState) throw new Permanent(`${task.name} wants to keep ${size} bytes of state; at most ${maxState} are kept`)
  const state = JSON.parse(text) as Record<string, unknown>
  if (!isKeepable(state))
    throw new Permanent(`${task.name} wants to keep U+0000, or half of a character, in its state, which no ledger holds`, {
      code: 'bad_state',
      hint: 'this is a bug of the task: what a database may hold it must keep encoded',
    })
  return state
}

export function contextOf<Verbs>(
  a: Attempt<Verbs>,
  log: RunLog,
  verbs: Verbs | undefined,
  writer: ArtifactWriter | undefined,
  as: (event: SignalName) => void,
): AnyContext & Verbs {
  const { run, service, task } = a
  const fence = run.fence!
  let progressAt = 0
  const c: AnyContext = {
    target: {
      name: run.target ?? '',
      engine: run.engine as Engine,
      labels: a.target?.config.labels ?? {},
      config: a.target?.config ?? null,
    },
    run: {
      id: run.id,
      attempt: run.attempt,
      fence,
      bornAt: run.queuedAt,
      slot: run.slot,
      cutOff: run.spec.cutOff === undefined ? null : new Date(run.spec.cutOff),
      ...permittedUntil(run),
      environment: service.config.environment,
      installation: service.ledger.installation,
    },
    params: run.spec.params,
    entries: run.spec.entries,
    plan: undefined,
    state: run.stateKept ? task.state.parse(run.stateKept) : undefined,
    async last() {
      const last = await untilLedger(a, () => runs.lastSucceeded(service.ledger, { operation: run.operation, target: run.target }))
      const result = task.result.safeParse(last?.result)
      return last && result.success ? { at: last.at, result: result.data } : null
    },
    signal: a.abort.signal,
    get artifact() {
      if (!writer) throw new Error(`${task.name} uses an artifact and does not declare what it produces`)
      return writer
    },
    backups: backupsOf(a),
    async guard() {
      await a.lease.guard()
      if (run.guarded || run.retry !== 'never') return
      // From here on the outcome of a lost attempt is unknown, and it must not be tried again by itself.
      if (!(await untilLedger(a, () => runs.saveGuarded(service.ledger, fence)))) throw superseded()
      run.guarded = true // how the attempt ends depends on it
      await a.lease.guard()
    },
    async save(state) {
      const kept = stateToKeep(task, state)
      if (!(await untilLedger(a, () => runs.saveState(service.ledger, fence, kept)))) throw superseded()
      run.stateKept = kept
    },
    park: async (until, state) => {
      throw new Parked(until, state === undefined ? undefined : stateToKeep(task, state))
    },
    as(event) {
      if (!task.emits.succeeded.includes(event)) throw new Error(`${task.name} does not declare the event ${event}`)
      as(event)
    },
    async found(faults) {
      const source = { target: run.target ?? '', source: run.operation }
      await untilLedger(a, () =>
        service.ledger.transaction(async db => {
          const { opened, gone } = await saveFindings(
            db,
            source,
            faults.map(fault => redactAll({ ...fault })),
          )
          const events = [
            ...opened.map(finding => findingEvent(service, run.engine, finding, 'opened')),
            ...gone.map(finding => findingEvent(service, run.engine, finding, 'gone')),
          ]
          if (events.length) await publish(db, events)
        }),
      )
    },
    progress(done, total, unit, note) {
      if (performance.now() - progressAt < 1_000 && done !== total) return
      progressAt = performance.now()
      void runs.saveProgress(service.ledger, fence, { done, total, unit, ...(note ? { note: redact(note) } : {}) }).catch(() => undefined)
    },
    log: (message, fields) => log.add('info', message, fields),
  }
  return Object.assign(c, verbs)
}
