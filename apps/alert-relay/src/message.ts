// What a notification says, as JSON: the alert, what failed with its cause, the last good backup, and one paragraph for whoever reads it at night.
import type { Failure } from '@dbops/contract/failure'
import type { Severity } from '@dbops/contract/signals'
import type { AlertState, Episode } from '@dbops/ledger/alerts'
import { keyOf, type Place } from '@dbops/ledger/deliveries'
import { firing } from './templates/en/firing.ts'
import { resolved } from './templates/en/resolved.ts'

/** The body of a webhook. Fields may be added; none is taken away. Times are ISO 8601 in UTC. */
export interface Message {
  alert: {
    /** Of this episode, from open to resolved; `dbops alerts` shows it. */
    id: string
    /** The same in every episode: rule, environment, subject, operation. */
    fingerprint: string
    name: string
    severity: Severity
    state: AlertState
    since: string
    resolvedAt: string | null
    /** The person who ended it by hand; null where it fires, or where a success ended it. */
    endedBy: string | null
    /** Counted per fingerprint, from 1. */
    episode: number
    failures: number
    /** Of this notification: also the `Idempotency-Key`. The same key is the same notification, sent again. */
    key: string
    /** 0: the first of this state; then repeats. */
    repeat: number
  }
  environment: string
  engine: string | null
  target: string | null
  operation: string
  /** The newest failure's cause; null where the event names none. */
  error: Failure | null
  /** The run that failed last; null where no run was involved. */
  run: string | null
  /** The last good backup of the same operation; null where there is none, or where it is no backup. */
  lastGood: { id: string; createdAt: string; location: string } | null
  /** One paragraph: what happened, what is safe, what to type. */
  text: string
  /** The id of the event on `dbops:events` that this notification is about. */
  event: string
}

/** What the events that open alerts may carry in `data`: of a run or a probe its error, of a finding what it is and its mend. */
interface Facts {
  error?: Failure | null
  what?: string
  hint?: string | null
  lastGood?: Message['lastGood']
}

export function messageOf(episode: Episode, place: Place): Message {
  const { what, hint, lastGood = null, error: told } = episode.event.data as Facts
  const found = what === undefined ? null : { code: episode.name, message: what, ...(hint ? { hint } : {}) }
  const error = told ?? found
  const facts = {
    alert: {
      id: episode.id,
      fingerprint: episode.fingerprint,
      name: episode.name,
      severity: episode.severity,
      state: place.state,
      since: episode.since.toISOString(),
      resolvedAt: episode.resolvedAt?.toISOString() ?? null,
      endedBy: episode.endedBy,
      episode: episode.n,
      failures: episode.failures,
      key: keyOf(place),
      repeat: place.nth,
    },
    environment: episode.environment,
    engine: episode.engine,
    target: episode.target,
    operation: episode.operation,
    error,
    run: episode.event.runid ?? null,
    lastGood,
  }
  const text = place.state === 'firing' ? firing(facts) : resolved(facts)
  return { ...facts, text, event: (place.state === 'firing' ? episode.event : (episode.resolvedBy ?? episode.event)).id }
}
