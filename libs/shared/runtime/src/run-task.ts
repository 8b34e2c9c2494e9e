// One attempt of one run, from the claim to the end: evict, open, plan, run, prove, seal, close, end. The handler returns facts; everything else happens here.
import { type ArtifactWriter, artifactWriter } from '@dbops/artifacts/writer'
import { Permanent, Refused } from '@dbops/contract/failure'
import type { SignalName } from '@dbops/contract/signals'
import type { Task } from '@dbops/contract/task'
import { isOpen, nextClosing } from '@dbops/contract/windows'
import * as runs from '@dbops/ledger/runs'
import { type Attempt, NotProven, TimedOut, untilLedger, WindowClosed } from './attempt.ts'
import { adoptEarlier, placeOfAttempt, seal } from './attempt-artifacts.ts'
import { contextOf } from './attempt-context.ts'
import { ended, endedBadly } from './attempt-end.ts'
import { openSession } from './attempt-session.ts'
import type { Session } from './engine.ts'
import { permitOf } from './permit.ts'
import { digestOf } from './plan-digest.ts'
import { recoverRun } from './recover-run.ts'
import { redact, redactAll } from './redact.ts'
import { openRunLog, type RunLog } from './run-log.ts'

/** Runs the attempt to its end in the ledger. Never throws: what went wrong is in the run, or this attempt was superseded and has nothing to say. */
export async function runAttempt<Verbs>(a: Attempt<Verbs>): Promise<void> {
  const { service, run } = a
  const log = openRunLog(service.ledger, run.id, a.lastLine)
  const timeout = setTimeout(
    () => a.abort.abort(new TimedOut(`it did not end within its timeout of ${run.timeoutMs / 1_000} s`)),
    Math.min(run.timeoutMs, run.validUntil.getTime() - Date.now(), longestTimer),
  )
  const closing = atClosing(a)
  const forbidden = atEndOfPermission(a)
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
    clearTimeout(closing)
    clearTimeout(forbidden)
    await log.flush()
  }
}

/** ms; a longer timer would ring at once, and no attempt lasts so long. */
const longestTimer = 2 ** 31 - 1

/** With `atEnd: stop` the work ends with its window: its state is kept, no attempt is burnt, and it goes on at the next opening. */
function atClosing<V>({ run, service, abort }: Attempt<V>): NodeJS.Timeout | undefined {
  const window = run.spec.window?.atEnd === 'stop' ? service.config.windows[run.spec.window.name] : undefined
  const now = new Date()
  if (!window || !isOpen(window, service.config.zone, now)) return undefined
  const closes = nextClosing(window, service.config.zone, now)
  return setTimeout(
    () => abort.abort(new WindowClosed(`window "${run.spec.window!.name}" closed`)),
    Math.min(closes.getTime() - now.getTime(), longestTimer),
  )
}

/** What the policy permitted for a time ends with that time, and is not begun when it would not fit into the rest of it: then the run waits again, and no attempt is burnt. */
function atEndOfPermission<V>({ run, abort }: Attempt<V>): NodeJS.Timeout | undefined {
  const permit = permitOf(run)
  if (!permit) return undefined
  const end = (what: string) => abort.abort(new WindowClosed(`${what} (${permit.rule})`))
  const now = Date.now()
  if (now > permit.startBy.getTime()) end(`it would not be done by ${permit.until.toISOString()}`)
  return setTimeout(() => end(`its time was over at ${permit.until.toISOString()}`), Math.min(permit.until.getTime() - now, longestTimer))
}

/** What was approved is what is done: a plan that decides something else is refused before anything is touched. */
function refuseAnotherPlan({ approval }: runs.Run, plan: unknown): void {
  const digest = digestOf(plan)
  if (!approval || approval.digest === digest) return
  throw new Refused(`the plan is not the one that ${approval.by ?? 'somebody'} approved: ${digest} in place of ${approval.digest}`, {
    code: 'plan_changed',
    hint: 'what it is about has changed since: ask again, and have the new plan approved',
  })
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
  let begun = false
  let isSealed = false
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
    begun = true
    const c = contextOf(a, log, session?.verbs, writer, event => (emitted = event))
    const plan = task.plan ? await task.plan(c) : undefined
    refuseAnotherPlan(run, redactAll(plan))
    if (plan !== undefined) await untilLedger(a, () => runs.savePlan(service.ledger, fence, redactAll(plan)))
    if (run.mode === 'plan') {
      await close()
      return await ended(a, log, { state: 'succeeded', result: { plan: redactAll(plan) ?? null } })
    }
    Object.assign(c, { plan })
    const facts = parsed(task, await task.run(c))
    a.abort.signal.throwIfAborted()
    const proof = task.prove ? await task.prove(c, facts) : { ok: true, reason: 'reads only', evidence: {} }
    a.abort.signal.throwIfAborted()
    if (!proof.ok) throw new NotProven(facts, proof)
    // What a task says of its work goes to places where no secret may be.
    const [result, evidence] = [redactAll(facts), redactAll(proof.evidence)]
    const sealed = writer ? await seal(a, writer, result, evidence) : undefined
    // A sealed backup is one, however badly its session ends: from here on there is only the good end, here or by adoption.
    isSealed = sealed !== undefined
    await (sealed ? close().catch((problem: Error) => log.add('warning', `closing the session: ${problem.message}`)) : close())
    await ended(a, log, { state: 'succeeded', result, evidence, ...(sealed ? { artifact: sealed } : {}) }, emitted)
  } catch (error) {
    // A session's own abort reads like any broken connection; why it was aborted is the true reason.
    const reason: unknown = a.abort.signal.aborted ? a.abort.signal.reason : error
    if (isSealed) throw error
    // A session that would not close keeps this attempt from ending: its fence must come on the list of those that are ended.
    await close()
    await endedBadly(a, log, reason, { writer, begun })
  }
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
