// What people ask for becomes runs: parameters checked against the catalogue, entries resolved, the policy asked.
import { catalog, type TaskEntry, taskNamed } from '@dbops/catalog/catalog'
import { parseDuration } from '@dbops/contract/duration'
import { Problem, Refused } from '@dbops/contract/failure'
import { localText } from '@dbops/contract/local-time'
import { nearMiss } from '@dbops/contract/names'
import { type Answer, type Command, takeUp } from '@dbops/ledger/commands'
import { clockOf, type Queryable } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import * as runs from '@dbops/ledger/runs'
import { carryOut } from '@dbops/runtime/deeds'
import { cutOffOf, locksOf, operationOf } from '@dbops/runtime/operation'
import { resolveParams, resolveTargets } from '@dbops/runtime/params'
import { judge } from '@dbops/runtime/policy'
import type { Service } from '@dbops/runtime/service'
import { v7 as uuidv7 } from 'uuid'
import { z } from 'zod'
import { approvalWithin, approve, reject } from './approvals.ts'

/** What of a service commands need. */
export type Commanded = Pick<Service, 'config' | 'event'>

const runBody = z.strictObject({
  task: z.string(),
  params: z.record(z.string(), z.unknown()).default({}),
  target: z.string().optional(),
  mode: z.enum(['do', 'plan']).default('do'),
})
const retryBody = z.strictObject({ run: z.uuid() })

export function takeCommands(service: Service): void {
  service.loop({
    name: 'commands',
    every: 1_000,
    always: true,
    wake: 'dbops_command',
    turn: async alive => {
      while (!service.signal.aborted && (await takeUp(service.ledger, (db, command) => act(db, service, command)))) alive()
    },
  })
}

/** Carries one command out, in the caller's transaction; what it throws is the answer. */
export async function act(db: Queryable, service: Commanded, command: Command): Promise<Answer<object>> {
  switch (command.verb) {
    case 'run':
      return start(db, service, runBody.parse(command.body), command.actor)
    case 'retry':
      return again(db, service, retryBody.parse(command.body).run, command.actor)
    case 'approve':
      return approve(db, service, command)
    case 'reject':
      return reject(db, service, command)
    default:
      return { ok: true, ...(await carryOut(db, command.verb, command.body, { actor: command.actor, teller: service })) }
  }
}

async function start(db: Queryable, service: Commanded, body: z.output<typeof runBody>, actor: string): Promise<Answer> {
  const task = taskNamed(body.task)
  if (!task)
    throw new Problem(`there is no task "${body.task}"`, {
      code: 'unknown_task',
      hint:
        nearMiss(
          body.task,
          catalog.tasks.map(t => t.name),
        ) ?? '"dbops run --help" lists them',
    })
  const { params, entries, target: carried, errors } = resolveParams(task, body.params, service.config)
  if (errors.length)
    throw new Problem(`${body.task}: ${errors[0]!.path}: ${errors[0]!.message}`, { code: 'bad_params', hint: errors[0]!.hint })
  const target = task.on === 'none' ? null : targetOf(service, task, body.target, carried)
  return bear(db, service, task, { params, entries }, target, { mode: body.mode, actor, cause: { kind: 'command' } })
}

async function again(db: Queryable, service: Commanded, id: string, actor: string): Promise<Answer> {
  const [run] = await runs.find(db, id)
  if (!run) throw new Problem(`there is no run ${id}`, { code: 'unknown_run' })
  if (!runs.isFinal(run.state))
    throw new Refused(`run ${id.slice(-8)} has not ended: it is ${run.state}`, { hint: 'cancel it first, or wait' })
  if (run.state === 'skipped')
    throw new Refused(`${id.slice(-8)} stands for slots that were not run: there is nothing to repeat`, {
      hint: `run ${run.task} by hand: dbops run ${run.task} --help`,
    })
  if (run.mode === 'recover') throw new Refused(`${id.slice(-8)} is a recovery: it is repeated by itself until it has succeeded`)
  const task = taskNamed(run.task)
  if (!task) throw new Problem(`there is no task "${run.task}" any more`, { code: 'unknown_task' })
  // A retry is a new run of today's configuration: the entry may have been mended since.
  const { params, entries, errors } = resolveParams(task, run.spec.params, service.config)
  if (errors.length)
    throw new Problem(`${run.task}: ${errors[0]!.path}: ${errors[0]!.message}`, { code: 'bad_params', hint: errors[0]!.hint })
  return bear(db, service, task, { params, entries }, run.target, {
    mode: run.mode === 'plan' ? 'plan' : 'do',
    actor,
    cause: { kind: 'retry', run: run.id },
    parent: run.id,
  })
}

/** The target that was asked for, or that the named entry carries, or the only one of the engine. */
function targetOf(service: Commanded, task: TaskEntry, asked: string | undefined, carried: string | undefined): string {
  const fitting = Object.entries(service.config.targets).flatMap(([name, t]) => (t.engine === task.engine ? [name] : []))
  const wanted = asked ?? (carried === undefined && fitting.length === 1 ? fitting[0] : undefined)
  const { targets, errors } = resolveTargets(task, wanted === undefined ? [] : [wanted], carried, service.config)
  if (errors.length) throw new Problem(errors[0]!.message, { code: 'bad_target', hint: errors[0]!.hint })
  return targets[0]!
}

async function bear(
  db: Queryable,
  service: Commanded,
  task: TaskEntry,
  spec: runs.Spec,
  target: string | null,
  how: { mode: 'do' | 'plan'; actor: string; cause: runs.Birth['cause']; parent?: string },
): Promise<Answer> {
  const now = await clockOf(db)
  const plans = how.mode === 'plan'
  const awaitsApproval = !plans && task.approval === 'always'
  const operation = operationOf(task, spec.params)
  const verdict = plans ? ({ verdict: 'allow' } as const) : judge({ task: task.name, target }, service.config, now)
  const birth: runs.Birth = {
    id: uuidv7(),
    task: task.name,
    engine: task.engine,
    lane: task.lane,
    target,
    mode: how.mode,
    cause: how.cause,
    actor: how.actor,
    ...(how.parent ? { parent: how.parent } : {}),
    operation,
    spec: { ...spec, ...cutOffOf(spec.entries, now) },
    locks: plans || target === null ? [] : locksOf(task, spec.params),
    priority: 8, // somebody waits for it
    notBefore: now,
    validUntil: new Date(now.getTime() + (awaitsApproval ? approvalWithin : parseDuration(task.deadline))),
    awaitsApproval,
    attempts: plans ? 1 : task.attempts,
    retry: task.retry,
    backoffMs: 30_000,
    timeoutMs: parseDuration(task.timeout),
    recovers: !plans && task.recovers,
    policy: { ...verdict, at: now.toISOString() },
  }
  if (verdict.verdict === 'allow') {
    await runs.bear(db, birth)
    if (awaitsApproval) await runs.bear(db, planFor(birth, task))
    return { ok: true, run: birth.id }
  }
  // A command outside its hours is refused and told the next opening: nobody wants to be surprised by it at night.
  const error = {
    code: `refused_by_${verdict.rule}`,
    message: verdict.reason,
    hint: verdict.verdict === 'wait' ? `it may begin from ${localText(verdict.until, service.config.zone)} on` : (verdict.hint ?? ''),
  }
  await runs.bear(db, birth, error)
  await publish(db, [
    service.event({
      event: 'policy_violation',
      subject: target ? `${task.engine}/${target}` : task.engine,
      operation,
      runId: birth.id,
      data: { task: task.name, rule: verdict.rule, reason: verdict.reason, actor: how.actor },
    }),
  ])
  return { ok: false, error, run: birth.id }
}

/** Its sibling, which makes the plan that is to be approved. */
const planFor = (run: runs.Birth, task: TaskEntry): runs.Birth => ({
  ...run,
  id: uuidv7(),
  mode: 'plan',
  cause: { kind: 'approval', run: run.id },
  parent: run.id,
  locks: [],
  awaitsApproval: false,
  validUntil: new Date(run.notBefore.getTime() + parseDuration(task.deadline)),
  attempts: 1,
  recovers: false,
})
