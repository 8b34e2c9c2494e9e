// Ends a run: one that waits in its own transaction, one that works by asking the process that has it in hand.
import { Refused } from '@dbops/contract/failure'
import { find, isFinal, type Run } from '@dbops/ledger/runs'
import type { Context } from '../command.ts'
import { doDeed } from '../deed.ts'
import { exits } from '../exits.ts'
import { Failed } from '../fail.ts'
import { shortId } from '../print.ts'
import { findRun } from './find-run.ts'
import { runRecord, runWords, stateWords } from './run-record.ts'
import { waitForRun } from './wait-for-run.ts'

/** How long a cancelled run may take to be gone (ms). */
const within = 15_000

export async function cancelRun({ args, print, connect, confirm }: Context): Promise<number> {
  const connection = await connect()
  const { ledger, environment } = connection
  const run = await findRun(ledger, args[0] as string)
  refuseUnlessCancellable(run)
  await confirm(environment, `cancel run ${shortId(run.id)}, ${runWords(run)}`)
  const ended = (await doDeed(connection, 'cancel', { run: run.id })).asked
    ? await waitForRun(ledger, run.id, { within })
    : (await find(ledger, run.id))[0]!
  if (!isFinal(ended.state))
    throw new Failed(
      'timedOut',
      `run ${shortId(run.id)} was asked to end and has not within ${within / 1_000} s: it is ${stateWords(ended.state)}`,
      {
        hint: `${ended.worker ?? 'its process'} does not answer; when its lease is over the run ends as cancelled: ./dbops runs show ${shortId(run.id)}`,
      },
    )
  print.environment(environment)
  print.record(runRecord(ended))
  print.line(
    `run ${print.colour('bold', shortId(run.id))}: ${runWords(run)} ${ended.state === 'cancelled' ? 'is cancelled' : `had ended before: ${stateWords(ended.state)}`}`,
  )
  return ended.state === 'cancelled' ? exits.done : exits.failed
}

function refuseUnlessCancellable(run: Run): void {
  if (isFinal(run.state))
    throw new Refused(`run ${shortId(run.id)} has ended: ${stateWords(run.state)}`, { hint: `./dbops runs show ${shortId(run.id)}` })
  if (run.mode === 'recover')
    throw new Refused(`run ${shortId(run.id)} puts back what run ${shortId(run.parent ?? '')} has changed; it is not cancelled`, {
      hint: 'it ends by itself; until then it holds the locks',
    })
}
