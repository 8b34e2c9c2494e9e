// Looks at the whole: services of different versions, and the figures that Prometheus and `status` show.
import { catalogHash } from '@dbops/catalog/catalog'
import { hold } from '@dbops/ledger/leases'
import { backlog, publish } from '@dbops/ledger/outbox'
import { queues } from '@dbops/ledger/runs'
import { listServices } from '@dbops/ledger/services'
import type { Service } from '@dbops/runtime/service'

export function watching(service: Service): void {
  const told = new Set<string>()
  const waiting = service.metrics.gauge('dbops_runs_waiting', 'runs that wait for a worker', ['engine', 'lane'])
  const running = service.metrics.gauge('dbops_runs_running', 'runs that a worker has in hand', ['engine', 'lane'])
  const due = service.metrics.gauge('dbops_outbox_due', 'events that are not in the stream yet', [])
  service.loop({
    name: 'watch',
    every: service.timers.heartbeat,
    turn: async () => {
      waiting.reset()
      running.reset()
      for (const queue of await queues(service.ledger)) {
        waiting.set({ engine: queue.engine, lane: queue.lane }, queue.waiting)
        running.set({ engine: queue.engine, lane: queue.lane }, queue.running)
      }
      due.set((await backlog(service.ledger)).due)
      if (!(await hold(service.ledger, 'watcher', service.name, service.timers.lease))) return
      for (const other of await listServices(service.ledger, service.timers.lease)) {
        if (other.catalogHash === catalogHash || told.has(`${other.name} ${other.catalogHash}`)) continue
        told.add(`${other.name} ${other.catalogHash}`)
        await service.ledger.transaction(db =>
          publish(db, [
            service.event({
              event: 'catalog_mismatch',
              subject: other.app,
              operation: 'catalog',
              data: { service: other.name, mine: catalogHash, theirs: other.catalogHash },
            }),
          ]),
        )
        service.log.warn(
          { event: 'catalog_mismatch', service: other.name },
          `${other.name} has another catalogue of tasks (${other.catalogHash}; here ${catalogHash})`,
        )
      }
    },
  })
}
