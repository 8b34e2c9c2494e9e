// Carries a deed out: here, where the login may write the ledger, so that it works without any service; else by the scheduler, in the person's name.
import { ask } from '@dbops/ledger/commands'
import { carryOut, type Deed, type DeedBody, type Done } from '@dbops/runtime/deeds'
import { tellerOf } from '@dbops/runtime/run-events'
import type { Connection } from './connect.ts'
import { exitOfAnswer } from './exits.ts'
import { Failed } from './fail.ts'

/** What came of it. Fails with exit 3 when a scheduler is needed and none answers. */
export async function doDeed<D extends Deed>({ ledger, environment, actor, owns }: Connection, deed: D, body: DeedBody<D>): Promise<Done> {
  if (owns) {
    const teller = tellerOf('cli', environment ?? 'unknown')
    return ledger.transaction(db => carryOut(db, deed, body, { actor, teller }))
  }
  const answer = await ask<Done>(ledger, { verb: deed, body, actor }).catch((error: Error & { code?: string; hint?: string }) => {
    throw error.code === 'unreachable' ? new Failed('unreachable', error.message, { code: error.code, hint: error.hint }) : error
  })
  if (!answer.ok) throw new Failed(exitOfAnswer(answer.error), answer.error.message, answer.error)
  return answer
}
