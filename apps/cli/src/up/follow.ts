// Every event of the ledger from now on, once, as it is told.
import type { Envelope } from '@dbops/contract/envelope'
import type { Ledger } from '@dbops/ledger/ledger'
import { recent } from '@dbops/ledger/outbox'

/** Numbers are given before a transaction commits, so a lower one may appear after a higher one: we look back this far. */
const lookBack = 200

/** Calls `heard` in the order of the numbers, one after the other. Returns the way to stop, which looks once more. */
export async function follow(ledger: Ledger, heard: (ce: Envelope) => unknown): Promise<() => Promise<void>> {
  const seen = new Set<number>()
  let last = 0
  const look = async (tell: boolean) => {
    const rows = await recent(ledger, { after: Math.max(0, last - lookBack), limit: tell ? 10_000 : lookBack })
    for (const { n, ce } of rows) {
      if (tell && !seen.has(n)) await heard(ce)
      seen.add(n)
      last = Math.max(last, n)
    }
    for (const n of seen) if (n < last - 2 * lookBack) seen.delete(n)
  }
  await look(false)

  let looking: Promise<void> | undefined
  let again = false
  const wake = () => {
    again = true
    looking ??= (async () => {
      while (again) {
        again = false
        // The ledger may be away: the services say so, and the notification after its return brings what was missed.
        await look(true).catch(() => {})
      }
      looking = undefined
    })()
  }
  const unlisten = ledger.listen('dbops_outbox', wake)
  return async () => {
    unlisten()
    // What was told while everything stopped.
    wake()
    await looking
  }
}
