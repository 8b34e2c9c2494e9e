// Runs that another person approves: shown to the approvers when their plan is there, queued or refused as they answer.
import { taskNamed } from '@dbops/catalog/catalog'
import { parseDuration } from '@dbops/contract/duration'
import { type Failure, Problem, Refused } from '@dbops/contract/failure'
import { recordDeed } from '@dbops/ledger/audit'
import type { Answer, Command } from '@dbops/ledger/commands'
import { clockOf, type Queryable } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import { ownsLedger } from '@dbops/ledger/people'
import * as runs from '@dbops/ledger/runs'
import { locksOf } from '@dbops/runtime/operation'
import { digestOf } from '@dbops/runtime/plan-digest'
import { judge, questionOf } from '@dbops/runtime/policy'
import { approvalEndedEvent, approvalWantedEvent, endEvent, endEvents, type Teller } from '@dbops/runtime/run-events'
import type { Service } from '@dbops/runtime/service'
import { z } from 'zod'

/** How long a run waits for its approval, ms. */
export const approvalWithin = 86_400_000

const approveBody = z.strictObject({ run: z.uuid(), digest: z.string(), reason: z.string().nullable() })
const rejectBody = z.strictObject({ run: z.uuid(), reason: z.string().min(1) })

/** The plan is a run of its own and ends in a maintainer; what follows from its end is done here, whoever ended it. */
export function watchingPlans(service: Service): void {
  service.loop({
    name: 'approvals',
    every: 1_000,
    always: true,
    wake: 'dbops_queued',
    turn: () => service.ledger.transaction(db => offerPlans(db, service)),
  })
}

/** Runs whose plan has ended are shown to their approvers, or refused with the reason of the plan. */
export async function offerPlans(db: Queryable, service: Teller): Promise<void> {
  for (const { planRun, planState, found, planError, ...run } of await runs.planned(db)) {
    if (planState !== 'succeeded') {
      const error = withoutPlan(planState, planError)
      await runs.endWaiting(db, run, 'refused', error, [endEvent(service, run, 'refused', error)])
      continue
    }
    const digest = digestOf(found)
    if (await runs.wantApproval(db, run.id, found, { digest, planRun })) await publish(db, [approvalWantedEvent(service, run, digest)])
  }
}

const withoutPlan = (state: string, error: Failure | null): Failure => ({
  code: error?.code ?? 'no_plan',
  message: `its plan ${state === 'refused' ? 'was refused' : `is ${state.replaceAll('_', ' ')}`}: ${error?.message ?? 'no reason was told'}`,
  ...(error?.hint ? { hint: error.hint } : {}),
})

/** Throws Refused for whoever may not, and for what does not wait for it. */
export async function approve(db: Queryable, service: Pick<Service, 'config' | 'event'>, command: Command): Promise<Answer> {
  const { run: id, digest, reason } = approveBody.parse(command.body)
  const run = await awaiting(db, id)
  const short = id.slice(-8)
  if (!run.approval)
    throw new Refused(`the plan of run ${short} is not there yet`, {
      code: 'refused_no_plan',
      hint: 'it is being made: ask again in a moment',
    })
  if (run.approval.digest !== digest)
    throw new Refused(`the plan of run ${short} is ${run.approval.digest}, not ${digest}`, {
      code: 'refused_other_plan',
      hint: 'look at the plan again, and approve that',
    })
  await mayApprove(db, run, command)
  const now = await clockOf(db)
  const verdict = judge(questionOf(run), service.config, now)
  const policy = { ...verdict, at: now.toISOString() }
  const { actor } = command
  await recordDeed(db, {
    actor,
    action: 'approve',
    subject: id,
    detail: { operation: run.operation, target: run.target, digest, reason, policy },
  })
  if (verdict.verdict === 'refuse') {
    const error = { code: `refused_by_${verdict.rule}`, message: verdict.reason, ...(verdict.hint ? { hint: verdict.hint } : {}) }
    await runs.endWaiting(db, run, 'refused', error, endEvents(service, run, 'refused', error), policy)
    return { ok: false, error, run: id }
  }
  const task = taskNamed(run.task)
  if (!task) throw new Problem(`there is no task "${run.task}" any more`, { code: 'unknown_task' })
  const notBefore = verdict.verdict === 'wait' ? verdict.until : now
  const isQueued = await runs.approve(db, {
    run: id,
    digest,
    by: actor,
    reason,
    notBefore,
    // Counted from the moment at which it may begin: a window that is closed for the night is no delay of its own.
    validUntil: new Date(notBefore.getTime() + parseDuration(task.deadline)),
    policy,
    waitingFor: verdict.verdict === 'wait' ? verdict.reason : null,
    locks: run.target === null ? [] : locksOf(task, run.spec.params),
  })
  if (!isQueued) throw new Refused(`run ${short} waits for no approval any more: its time is over`, { code: 'refused_not_awaiting' })
  await publish(db, [approvalEndedEvent(service, run, 'queued')])
  return { ok: true, run: id }
}

export async function reject(db: Queryable, service: Teller, { body, actor }: Command): Promise<Answer> {
  const { run: id, reason } = rejectBody.parse(body)
  const run = await awaiting(db, id)
  const error = { code: 'rejected', message: `rejected by ${actor}: ${reason}` }
  await recordDeed(db, { actor, action: 'reject', subject: id, detail: { operation: run.operation, target: run.target, reason } })
  await runs.endWaiting(db, run, 'refused', error, endEvents(service, run, 'refused', error))
  return { ok: true, run: id }
}

async function awaiting(db: Queryable, id: string): Promise<runs.Run> {
  const run = await runs.lockAwaiting(db, id)
  if (run) return run
  const [other] = await runs.find(db, id)
  if (!other) throw new Problem(`there is no run ${id}`, { code: 'unknown_run' })
  throw new Refused(`run ${id.slice(-8)} waits for no approval: it is ${other.state.replaceAll('_', ' ')}`, {
    code: 'refused_not_awaiting',
    hint: './dbops runs --state awaiting_approval lists those that do',
  })
}

/** Four eyes: another than the asker, under a login of that person's own. Whoever has the services' login has asked under any name before, also that login's. */
async function mayApprove(db: Queryable, run: runs.Run, { actor, role }: Command): Promise<void> {
  const hint = 'approve as somebody else: --as NAME'
  if (actor !== role || (await ownsLedger(db, role)))
    throw new Refused(`the role ${role} is that of the services, which may write under any name; an approval wants a person's own login`, {
      code: 'refused_no_person',
      hint,
    })
  if (actor === run.actor)
    throw new Refused(`${actor} asked for run ${run.id.slice(-8)}, and another person must approve it`, {
      code: 'refused_same_actor',
      hint,
    })
}
