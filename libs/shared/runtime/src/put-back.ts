// Puts the world back after an attempt that did not succeed, in the process that made it.
import type { ArtifactWriter } from '@dbops/artifacts/writer'
import { type Attempt, TimedOut } from './attempt.ts'
import { sweepOwn } from './attempt-artifacts.ts'
import { contextOf } from './attempt-context.ts'
import { openSession } from './attempt-session.ts'
import type { RunLog } from './run-log.ts'

/** Before anybody else may begin. Throws when it cannot: then nothing is written, the lease runs out, and a recovery does it elsewhere. */
export async function putBack<Verbs>(a: Attempt<Verbs>, log: RunLog, writer: ArtifactWriter | undefined): Promise<void> {
  if (writer) await sweepOwn(a, log)
  if (!a.task.recover) return
  const abort = new AbortController()
  const patience = setTimeout(() => abort.abort(new TimedOut('putting back took longer than a minute')), 60_000)
  try {
    // Under a signal of its own: the attempt's was aborted when it was cancelled, timed out or told to stop.
    const aside = { ...a, abort, lostFences: [], lease: { ...a.lease.aside(abort.signal), aside: a.lease.aside.bind(a.lease) } }
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
