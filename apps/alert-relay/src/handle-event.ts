// An event opens, carries on or ends alerts, by the table of signals; then the pipeline decides who is told.
import { type Envelope, signalOf } from '@dbops/contract/envelope'
import { alertsOf } from '@dbops/contract/signals'
import { fingerprintOf, recordDecision, recordFailure, recordSuccess } from '@dbops/ledger/alerts'
import type { Queryable } from '@dbops/ledger/ledger'
import { nextLook } from './look-again.ts'
import { tell } from './pipeline.ts'
import type { Rules } from './routes.ts'
import type { Reason } from './stage.ts'

/** In one transaction, once per event (the inbox sees to that). Returns what was decided; nothing for an event that is no alert's business. */
export async function handleEvent(db: Queryable, event: Envelope, rules: Rules, now: Date): Promise<Reason[]> {
  const signal = signalOf(event.type)
  if (!signal) return []
  const { opens, resolves } = alertsOf(signal)
  const { environment, subject, operation } = event
  const reasons: Reason[] = []
  if (opens) {
    const identity = { name: opens, environment, subject, operation }
    const episode = await recordFailure(db, identity, event, nextLook(now))
    if (episode !== 'already_resolved') reasons.push(...(await tell(db, episode, rules, now, event.id)))
    else {
      await recordDecision(db, { at: now, fingerprint: fingerprintOf(identity), event: event.id, reason: episode })
      reasons.push(episode)
    }
  }
  for (const name of resolves) {
    const episode = await recordSuccess(db, { name, environment, subject, operation }, event)
    if (episode) reasons.push(...(await tell(db, episode, rules, now, event.id)))
  }
  return reasons
}
