// A recovery: what a lost attempt left is adopted or put back, in whatever process comes by, before anything else becomes of its run.
import { failureOf } from '@dbops/contract/failure'
import { lastGood } from '@dbops/ledger/artifacts'
import type { Queryable } from '@dbops/ledger/ledger'
import * as runs from '@dbops/ledger/runs'
import { type Attempt, untilLedger } from './attempt.ts'
import { recoverPlaces } from './attempt-artifacts.ts'
import { contextOf } from './attempt-context.ts'
import { eventOf, redacted } from './attempt-end.ts'
import { openSession } from './attempt-session.ts'
import { backoff } from './backoff.ts'
import type { Session } from './engine.ts'
import { Superseded } from './leases.ts'
import { endEvent } from './run-events.ts'
import type { RunLog } from './run-log.ts'

/** A run of mode `recover`: after an attempt that went with its process. No limit of attempts: until the world is put back, its locks stay held. */
export async function recoverRun<Verbs>(a: Attempt<Verbs>, log: RunLog): Promise<void> {
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
            const end = {
              fence,
              state: 'succeeded' as const,
              result: { adopted: adopted.sealed.id },
              artifact: adopted.sealed,
              events: [event],
            }
            // Only under this recovery's own fence: its successor tells it otherwise.
            if ((await runs.end(db, end)) === 'ended')
              await runs.succeedByAdoption(db, adopted.manifest.run, adopted.manifest.result, adopted.manifest.evidence)
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
    await untilLedger(a, () => service.ledger.transaction(db => settle(db, a)))
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
        keepLocks: true,
        waitingFor: `recovery again after: ${told.message}`,
        error: told,
      }),
    )
  }
}

/** The world is put back: the recovery ends, and with it the run, if its end was only waiting for that. */
async function settle<V>(db: Queryable, { service, run }: Attempt<V>): Promise<void> {
  if ((await runs.end(db, { fence: run.fence!, state: 'succeeded', result: { adopted: null }, events: [] })) !== 'ended') return
  const waiting = await runs.awaitingVerdict(db, run.parent!)
  if (!waiting) return
  const { state, error } = waiting.verdict!
  const told = error ?? { code: state, message: `it had been ${state} when its recovery began` }
  const good = waiting.target ? await lastGood(db, waiting.operation, waiting.target) : undefined
  await runs.endWaiting(db, waiting, state, told, [endEvent(service, waiting, state, told, good)])
}
