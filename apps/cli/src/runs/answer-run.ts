// Answers a run that waits for approval: its plan is shown, and what is approved is that plan, by its digest.
import { Refused } from '@dbops/contract/failure'
import type { Run } from '@dbops/ledger/runs'
import type { Context } from '../command.ts'
import { confirm } from '../confirm.ts'
import { exits } from '../exits.ts'
import { factLines, indent } from '../facts.ts'
import { Failed } from '../fail.ts'
import { coming } from '../moment.ts'
import { shortId } from '../print.ts'
import { beginWords } from './begin-words.ts'
import { findRun } from './find-run.ts'
import { runRecord, runWords, stateWords } from './run-record.ts'
import { askFor, room } from './start-run.ts'

export async function approveRun({ args, options, print, connect }: Context): Promise<number> {
  const connection = await connect()
  const { ledger, environment, actor, config } = connection
  const run = await findRun(ledger, args[0] as string)
  const digest = digestOf(run)
  if (actor === run.actor) throw sameActor(run, actor)
  const now = await ledger.now()
  print.environment(environment)
  print.line(
    `run ${print.colour('bold', shortId(run.id))}: ${runWords(run)}, asked for by ${run.actor}, to be approved ${coming(run.validUntil, now)} at the latest`,
  )
  for (const line of indent(factLines(run.plan, room()))) print.line(line)
  print.line(`plan ${print.colour('bold', digest)}; once approved ${beginWords(run, config, now)}`)
  await confirm(environment, `approve plan ${digest} of run ${shortId(run.id)}, ${runWords(run)}, as ${actor}`, {
    yes: options.yes,
    always: true,
  })
  const reason = (options['reason'] as string | undefined) ?? null
  const approved = await askFor(connection, { verb: 'approve', body: { run: run.id, digest, reason } })
  print.record({ ...runRecord(approved), digest, approvedBy: actor })
  const waits = approved.waitingFor ? `; it waits: ${approved.waitingFor}` : ''
  print.line(`run ${print.colour('bold', shortId(run.id))} is approved by ${actor} and ${stateWords(approved.state)}${waits}`)
  return exits.done
}

export async function rejectRun({ args, options, print, connect }: Context): Promise<number> {
  const reason = options['reason'] as string | undefined
  if (!reason?.trim())
    throw new Failed('wrong', 'the asker wants to know why: --reason is missing', {
      code: 'no_reason',
      hint: '--reason "not before the release"',
    })
  const connection = await connect()
  const { ledger, environment, actor } = connection
  const run = await findRun(ledger, args[0] as string)
  refuseUnlessAwaiting(run)
  await confirm(environment, `reject run ${shortId(run.id)}, ${runWords(run)}`, { yes: options.yes })
  const rejected = await askFor(connection, { verb: 'reject', body: { run: run.id, reason } })
  print.environment(environment)
  print.record(runRecord(rejected))
  print.line(`run ${print.colour('bold', shortId(run.id))}: ${runWords(run)} is rejected by ${actor}`)
  return exits.done
}

/** Of the plan that is to be approved. Refused where there is nothing to approve, or not yet. */
function digestOf(run: Run): string {
  refuseUnlessAwaiting(run)
  if (run.approval) return run.approval.digest
  throw new Refused(`the plan of run ${shortId(run.id)} is not there yet`, { hint: 'it is being made: ask again in a moment' })
}

function refuseUnlessAwaiting(run: Run): void {
  if (run.state === 'awaiting_approval') return
  throw new Refused(`run ${shortId(run.id)} waits for no approval: it is ${stateWords(run.state)}`, {
    hint: './dbops runs --state awaiting_approval lists those that do',
  })
}

const sameActor = (run: Run, actor: string) =>
  new Refused(`${actor} asked for run ${shortId(run.id)}, and another person must approve it`, {
    hint: 'approve as somebody else: --as NAME',
  })
