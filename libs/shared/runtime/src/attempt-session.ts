// The session of an attempt in its target: opened after those of dead attempts are gone, and used only while the lease is confirmed.
import * as runs from '@dbops/ledger/runs'
import { type Attempt, HeldElsewhere, untilLedger } from './attempt.ts'
import { type Session, sessionName } from './engine.ts'
import type { RunLog } from './run-log.ts'

/** Evicts first, connects, and looks at the lease a second time before the first statement: after the sessions of dead attempts are gone, and with a second look at the lease once it is connected. */
export async function openSession<Verbs>(a: Attempt<Verbs>, log: RunLog): Promise<Session<Verbs> | undefined> {
  if (!a.target || a.task.on !== 'target') return undefined
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
  const session = await a.driver.open(a.target, {
    name,
    locks: a.locks,
    signal: a.abort.signal,
    guard: () => a.lease.guard(),
    onLost: error => a.abort.abort(error),
  })
  if (session === 'locked') throw new HeldElsewhere('another installation')
  return session
}
