// Our own sessions in the ledger: when callers have waited for one for half a minute, it is told, through the session that listens, as nothing else of ours gets through.
import { formatDuration } from '@dbops/contract/duration'
import { publish } from '@dbops/ledger/outbox'
import type { Service } from './service.ts'

/** How long, in ms, callers may wait without a pause before it is told (seed-table.md, 5.4). */
const patience = 30_000

/** Tells `db_pool_exhausted` once, and `db_pool_recovered` when nobody waits any more. */
export function watchOwnPool(service: Pick<Service, 'app' | 'name' | 'ledger' | 'loop' | 'event' | 'log'>, patienceMs = patience): void {
  const { ledger, app } = service
  let since: Date | undefined
  let told = false
  const tell = async (event: 'db_pool_exhausted' | 'db_pool_recovered', what: string) => {
    const key = `exhausted ${app}`
    const facts = { source: service.name, key, level: 'error', what, hint: null, sql: null, since: since!.toISOString() }
    const data = { ...facts, evidence: { waiting: ledger.waiting } }
    await publish(ledger.apart, [service.event({ event, subject: app, operation: `own-pool:${key}`, data })])
    service.log[event === 'db_pool_exhausted' ? 'error' : 'info']({ event }, what)
  }
  service.loop({
    name: 'own pool',
    every: Math.min(1_000, patienceMs / 3),
    always: true,
    async turn() {
      if (!ledger.waiting) {
        if (told) await tell('db_pool_recovered', `${app}: nobody waits for a session in the ledger any more`)
        told = false
        since = undefined
        return
      }
      since ??= new Date()
      if (told || Date.now() - since.getTime() < patienceMs) return
      const waited = formatDuration(Date.now() - since.getTime())
      await tell('db_pool_exhausted', `${app}: ${ledger.waiting} have waited for a session in the ledger for ${waited}`)
      told = true
    },
  })
}
