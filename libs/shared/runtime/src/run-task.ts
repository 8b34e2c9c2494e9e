// One attempt of one run, from the claim to the end: evict, open, plan, run, prove, seal, close, end. The handler returns facts; everything else happens here.
import { type ArtifactWriter, artifactWriter } from '@dbops/artifacts/writer'
import { type Failure, failureOf, Later, Permanent, Refused } from '@dbops/contract/failure'
import type { SignalName } from '@dbops/contract/signals'
import type { Task } from '@dbops/contract/task'
import { lastGood } from '@dbops/ledger/artifacts'
import { lastLine } from '@dbops/ledger/logs'
import * as runs from '@dbops/ledger/runs'
import { type Attempt, HeldElsewhere, NotProven, Parked, TimedOut, untilLedger } from './attempt.ts'
import { adoptEarlier, placeOfAttempt, recoverPlaces, seal, sweepOwn } from './attempt-artifacts.ts'
import { contextOf } from './attempt-context.ts'
import { backoff } from './backoff.ts'
import { type Session, sessionName } from './engine.ts'
import { Cancelled, Superseded } from './leases.ts'
import { redact } from './redact.ts'
import { openRunLog, type RunLog } from './run-log.ts'

/** Runs the attempt to its end in the ledger. Never throws: what went wrong is in the run, or this attempt was superseded and has nothing to say. */
export async function runAttempt<Verbs>(a: Attempt<Verbs>): Promise<void> {
  const { service, run } = a
  const log = openRunLog(service.ledger, run.id, await lastLine(service.ledger, run.id).catch(() => 0))
  const timeout = setTimeout(
    () => a.abort.abort(new TimedOut(`it did not end within its timeout of ${run.timeoutMs / 1_000} s`)),
    Math.min(run.timeoutMs, run.validUntil.getTime() - Date.now(), 2 ** 31 - 1),
  )
  try {
    if (run.mode === 'recover') await recoverRun(a, log)
    else await doRun(a, log)
  } catch (error) {
    service.log.error(
      { event: 'attempt_abandoned', run: run.id, fence: run.fence, error },
      `run ${run.id}: this attempt is given up, another will take over: ${redact((error as Error).message)}`,
    )
  } finally {
    clearTimeout(timeout)
    await log.flush()
  }
}

async function doRun<Verbs>(a: Attempt<Verbs>, log: RunLog): Promise<void> {
  const { run, task, service } = a
  const fence = run.fence!
  service.log.info(
    { event: 'run_started', run: run.id, task: run.task, target: run.target, attempt: run.attempt, mode: run.mode },
    `${run.operation} started`,
  )
  log.add('info', `attempt ${run.attempt} of ${run.attempts} on ${service.name}`)
  let emitted: SignalName = task.emits.succeeded[0]
  let writer: ArtifactWriter | undefined
  let session: Session<Verbs> | undefined
  const close = async () => {
    const closing = session
    session = undefined
    await closing?.close()
  }
  try {
    if (task.produces && run.mode === 'do') {
      const adopted = await adoptEarlier(a, log)
      if (adopted)
        return await ended(
          a,
          log,
          { state: 'succeeded', result: adopted.manifest.result, evidence: adopted.manifest.evidence, artifact: adopted.sealed },
          task.emits.succeeded[0],
        )
      writer = artifactWriter(await a.store(), placeOfAttempt(a))
    }
    session = await openSession(a, log)
    const c = contextOf(a, log, session?.verbs, writer, event => (emitted = event))
    const plan = task.plan ? await task.plan(c) : undefined
    if (plan !== undefined) await untilLedger(a, () => runs.savePlan(service.ledger, fence, plan))
    if (run.mode === 'plan') {
      await close()
      return await ended(a, log, { state: 'succeeded', result: { plan: plan ?? null } })
    }
    Object.assign(c, { plan })
    const facts = parsed(task, await task.run(c))
    a.abort.signal.throwIfAborted()
    const proof = task.prove ? await task.prove(c, facts) : { ok: true, reason: 'reads only', evidence: {} }
    a.abort.signal.throwIfAborted()
    if (!proof.ok) throw new NotProven(facts, proof)
    const sealed = writer ? await seal(a, writer, facts, proof.evidence) : undefined
    // A sealed backup is one, however badly its session ends.
    await (sealed ? close().catch((problem: Error) => log.add('warning', `closing the session: ${problem.message}`)) : close())
    await ended(a, log, { state: 'succeeded', result: facts, evidence: proof.evidence, ...(sealed ? { artifact: sealed } : {}) }, emitted)
  } catch (error) {
    // A session's own abort reads like any broken connection; why it was aborted is the true reason.
    const reason: unknown = a.abort.signal.aborted ? a.abort.signal.reason : error
    await close().catch((problem: Error) => log.add('warning', `closing the session: ${problem.message}`))
    await endedBadly(a, log, reason, writer)
  }
}

/** The session of this attempt: after the sessions of dead attempts are gone, and with a second look at the lease once it is connected. */
async function openSession<Verbs>(a: Attempt<Verbs>, log: RunLog): Promise<Session<Verbs> | undefined> {
  if (!a.target) return undefined
  const { installation } = a.service.ledger
  const name = sessionName(installation, a.run.fence!, a.run.task)
  const lost = a.lostFences
  if (lost.length) {
    await a.lease.guard()
    await a.driver.evict(a.target, lost, installation, name, a.abort.signal)
    await untilLedger(a, () => runs.evicted(a.service.ledger, a.target!.name, lost))
    log.add('info', `ended the sessions of lost attempts (fences ${lost.join(', ')})`)
  }
  await a.lease.guard()
  const locks = a.run.mode === 'plan' ? [] : await untilLedger(a, () => runs.heldLocks(a.service.ledger, a.run.id))
  const session = await a.driver.open(a.target, {
    name,
    locks,
    signal: a.abort.signal,
    guard: () => a.lease.guard(),
    onLost: error => a.abort.abort(error),
  })
  if (session === 'locked') throw new HeldElsewhere('another installation')
  return session
}

function parsed<V>(task: Task<V>, facts: unknown): Record<string, unknown> {
  const result = task.result.safeParse(facts)
  if (result.success) return result.data
  const issue = result.error.issues[0]!
  throw new Permanent(`${task.name} returned facts that are not of its result: ${issue.path.join('.')}: ${issue.message}`, {
    code: 'bad_result',
    hint: 'this is a bug of the task',
  })
}

// ───────────────────────────────────────────────────────────── ends

interface GoodEnd {
  state: 'succeeded'
  result: Record<string, unknown>
  evidence?: Record<string, unknown>
  artifact?: NonNullable<runs.End['artifact']>
}

async function ended<V>(a: Attempt<V>, log: RunLog, good: GoodEnd, event?: SignalName): Promise<void> {
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

async function endedBadly<V>(a: Attempt<V>, log: RunLog, reason: unknown, writer: ArtifactWriter | undefined): Promise<void> {
  const { service, run, task } = a
  const fence = run.fence!
  const { ledger } = service
  if (reason instanceof Superseded) {
    service.log.warn({ event: 'attempt_superseded', run: run.id, fence }, `run ${run.id}: this attempt was taken over and stops`)
    return
  }
  if (reason instanceof Parked) {
    log.add('info', `parked until ${reason.until.toISOString()}`)
    await untilLedger(a, () => runs.park(ledger, fence, reason.until, reason.state))
    return
  }
  if (run.mode === 'do') await putBack(a, log, writer)
  if (reason instanceof HeldElsewhere)
    return void (await untilLedger(a, () =>
      runs.requeue(ledger, { fence, after: service.timers.heartbeat, as: 'waits', waitingFor: 'another installation' }),
    ))
  const error = redacted(failureOf(reason))
  if (reason instanceof Later) {
    log.add('info', `again in ${reason.after} ms: ${error.message}`)
    return void (await untilLedger(a, () =>
      runs.requeue(ledger, { fence, after: reason.after, as: 'later', waitingFor: error.message, error }),
    ))
  }
  const stopping = error.code === 'stopping'
  const irreversible = run.retry === 'never' && run.guarded
  if (stopping && !irreversible) {
    log.add('info', 'let go: the service is stopping')
    return void (await untilLedger(a, () => runs.requeue(ledger, { fence, after: 0, as: 'released', waitingFor: 'another worker' })))
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
  await log.flush()
  if (!final) {
    const after = backoff(run)
    service.log.warn(
      {
        event: 'attempt_failed',
        run: run.id,
        task: run.task,
        target: run.target,
        attempt: run.attempt,
        code: error.code,
        retryInMs: after,
      },
      `${run.operation}: attempt ${run.attempt} of ${run.attempts} failed: ${error.message}`,
    )
    return void (await untilLedger(a, () =>
      runs.requeue(ledger, { fence, after, as: 'retry', waitingFor: `retry after: ${error.message}`, error }),
    ))
  }
  const state = cancelled ? 'cancelled' : refused ? 'refused' : reason instanceof TimedOut ? 'timed_out' : 'failed'
  const told = stopping
    ? {
        code: 'interrupted',
        message: 'the service stopped while the outcome was open',
        hint: 'look at the target before you retry: this task is never repeated by itself',
      }
    : error
  const event: SignalName = cancelled ? 'run_cancelled' : task.emits.failed
  const proof = reason instanceof NotProven ? { result: reason.facts, evidence: reason.proof.evidence } : {}
  const facts = { state, result: proof.result ?? null, error: told }
  // The last good backup is part of the message: it says what is still there.
  const good = task.produces && run.target ? await untilLedger(a, () => lastGood(ledger, run.operation, run.target!)) : undefined
  const extra = good ? { lastGood: { ...good, createdAt: good.createdAt.toISOString() } } : task.produces ? { lastGood: null } : {}
  await finish(a, { fence, state, error: told, ...proof, events: run.mode === 'do' ? [eventOf(a, event, { ...facts, ...extra })] : [] })
  service.log[state === 'cancelled' ? 'info' : 'error'](
    { event, run: run.id, task: run.task, target: run.target, operation: run.operation, code: told.code, hint: told.hint },
    `${run.operation} ${state}: ${told.message}`,
  )
}

/** An attempt that did not succeed puts the world back before anybody else may begin. What it cannot put back here, a recovery does elsewhere: the lease is left to run out. */
async function putBack<Verbs>(a: Attempt<Verbs>, log: RunLog, writer: ArtifactWriter | undefined): Promise<void> {
  if (writer) await sweepOwn(a, log)
  if (!a.task.recover) return
  const abort = new AbortController()
  const patience = setTimeout(() => abort.abort(new TimedOut('putting back took longer than a minute')), 60_000)
  try {
    const aside = { ...a, abort, lostFences: [] }
    const session = await openSession(aside, log)
    try {
      await a.task.recover(contextOf(aside, log, session?.verbs, writer, () => undefined))
      log.add('info', 'put back what the attempt had changed')
    } finally {
      await session?.close()
    }
  } finally {
    clearTimeout(patience)
  }
}

/** A run of mode `recover`: after an attempt that went with its process. No limit of attempts: until the world is put back, its locks stay held. */
async function recoverRun<Verbs>(a: Attempt<Verbs>, log: RunLog): Promise<void> {
  const { service, run, task } = a
  const fence = run.fence!
  let session: Session<Verbs> | undefined
  try {
    if (task.produces) {
      const adopted = await recoverPlaces(a, log)
      if (adopted) {
        const event = {
          ...eventOf(a, task.emits.succeeded[0], { state: 'succeeded', result: adopted.manifest.result, error: null }),
          runid: adopted.manifest.run,
        }
        await untilLedger(a, () =>
          service.ledger.transaction(async db => {
            await runs.succeedByAdoption(db, adopted.manifest.run, adopted.manifest.result, adopted.manifest.evidence)
            return runs.end(db, {
              fence,
              state: 'succeeded',
              result: { adopted: adopted.sealed.id },
              artifact: adopted.sealed,
              events: [event],
            })
          }),
        )
        return
      }
    }
    if (task.recover) {
      session = await openSession(a, log)
      await task.recover(contextOf(a, log, session?.verbs, undefined, () => undefined))
      await session?.close()
      session = undefined
    }
    await finish(a, { fence, state: 'succeeded', result: { adopted: null }, events: [] })
    service.log.info({ event: 'run_recovered', run: run.parent, task: run.task }, `${run.operation}: what a lost attempt left is put back`)
  } catch (error) {
    const reason: unknown = a.abort.signal.aborted ? a.abort.signal.reason : error
    await session?.close().catch(() => undefined)
    if (reason instanceof Superseded) return
    const told = redacted(failureOf(reason))
    log.add('error', `recovery: ${told.message}`)
    await untilLedger(a, () =>
      runs.requeue(service.ledger, {
        fence,
        after: backoff(run),
        as: 'retry',
        waitingFor: `recovery again after: ${told.message}`,
        error: told,
      }),
    )
  }
}

/** Writes the end, however long the ledger is away; gives up only when this process stops. */
async function finish<V>(a: Attempt<V>, end: runs.End): Promise<void> {
  const how = await untilLedger(a, () => a.service.ledger.transaction(db => runs.end(db, end)))
  if (how === 'superseded')
    a.service.log.warn(
      { event: 'attempt_superseded', run: a.run.id, fence: end.fence },
      `run ${a.run.id}: ended here as ${end.state}, but it had been taken over; nothing is written`,
    )
}

const redacted = (failure: Failure): Failure => ({
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
