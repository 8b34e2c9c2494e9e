// Break-glass: takes a run from the process that has it in hand. What it had begun is ended before others begin; what it had done stays, and nobody knows how much that is.
import { Refused } from '@dbops/contract/failure'
import { find } from '@dbops/ledger/runs'
import type { Context } from '../command.ts'
import { doDeed } from '../deed.ts'
import { Failed } from '../fail.ts'
import { shortId } from '../print.ts'
import { findRun } from './find-run.ts'
import { runRecord, runWords, stateWords } from './run-record.ts'

export async function releaseRun({ args, options, print, connect, confirm }: Context): Promise<void> {
  const reason = (options['reason'] as string | undefined)?.trim()
  if (!reason)
    throw new Failed('wrong', 'there is no --reason', {
      code: 'bad_argument',
      hint: 'it stands in the audit: --reason "host db-ops-2 is gone"',
    })
  const connection = await connect()
  const { ledger, environment } = connection
  const run = await findRun(ledger, args[0] as string)
  const id = shortId(run.id)
  if (run.state !== 'running')
    throw new Refused(`run ${id} is ${stateWords(run.state)}: nobody has it in hand`, {
      hint: ['queued', 'parked', 'awaiting_approval'].includes(run.state) ? `./dbops cancel ${id} ends it` : `./dbops runs show ${id}`,
    })
  await confirm(
    environment,
    `take run ${id}, ${runWords(run)}, from ${run.worker ?? 'its process'} and free its locks, the outcome unknown`,
  )
  const { done } = await doDeed(connection, 'release', { run: run.id, reason, force: options['force'] === true })
  const [ended] = await find(ledger, run.id)
  if (!done) throw new Refused(`run ${id} ended meanwhile: ${stateWords(ended!.state)}`, { hint: `./dbops runs show ${id}` })
  print.environment(environment)
  print.record(runRecord(ended!))
  print.line(
    `run ${print.colour('bold', id)}: ${runWords(run)} was taken from ${run.worker ?? 'its process'}; it is ${stateWords(ended!.state)}, the outcome unknown`,
  )
  print.line(print.colour('dim', 'its sessions are ended before the next work on that target begins; look at the target before you retry'))
}
