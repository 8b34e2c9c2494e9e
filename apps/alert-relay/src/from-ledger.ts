// Alerts while the stream stands still: an event that waits in the outbox for half a minute, as Redis is away or full, is handled from there. The inbox sees to it that it is handled once.
import type { Envelope } from '@dbops/contract/envelope'
import { failureOf } from '@dbops/contract/failure'
import { alertsOf, signalNames } from '@dbops/contract/signals'
import { firstTime } from '@dbops/ledger/inbox'
import { isConnectionProblem, type Queryable } from '@dbops/ledger/ledger'
import { heldUp } from '@dbops/ledger/outbox'
import { redact } from '@dbops/runtime/redact'
import type { Service } from '@dbops/runtime/service'

/** ms; as long as the ledger itself may be away before that is told. */
const patience = 30_000
const page = 100
/** The relay's consumer group in dbops:events, and its name in the inbox. */
export const group = 'alert-relay'

/** The signals that open or end an alert. */
export const concerned = signalNames.filter(name => {
  const { opens, resolves } = alertsOf(name)
  return opens !== undefined || resolves.length > 0
})

/** A turn takes all that wait at that moment, oldest first; `alive` is called for each page. */
export function fromLedger(
  { ledger, log, metrics, signal }: Pick<Service, 'ledger' | 'log' | 'metrics' | 'signal'>,
  handle: (db: Queryable, event: Envelope) => Promise<void>,
): (alive: () => void) => Promise<void> {
  const handled = metrics.counter(
    'dbops_events_from_ledger_total',
    'events that the relay took from the ledger, as the stream stood still',
    [],
  )
  return async alive => {
    for (let after = 0; !signal.aborted; alive()) {
      const waiting = await heldUp(ledger, { after, forMs: patience, events: concerned, consumer: group, limit: page })
      for (const { ce } of waiting)
        try {
          const isFirst = await ledger.transaction(async db => {
            const fresh = await firstTime(db, group, ce.id)
            if (fresh) await handle(db, ce)
            return fresh
          })
          if (isFirst) handled.inc()
        } catch (error) {
          if (isConnectionProblem(error)) throw error
          // On the stream it is tried again, and set aside after ten failures.
          log.error({ event: 'handler_failed', id: ce.id, error }, `event ${ce.id} in the ledger: ${redact(failureOf(error).message)}`)
        }
      if (waiting.length)
        log.warn(
          { event: 'events_from_ledger', events: waiting.length },
          `${waiting.length} events that cannot reach the stream were taken from the ledger`,
        )
      if (waiting.length < page) return
      after = waiting.at(-1)!.n
    }
  }
}
