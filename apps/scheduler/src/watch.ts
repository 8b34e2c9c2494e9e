// Looks at the whole: services of different versions, what piles up, and the figures that Prometheus and `status` show.
import { catalogHash } from '@dbops/catalog/catalog'
import { hold } from '@dbops/ledger/leases'
import { backlog, positions, publish } from '@dbops/ledger/outbox'
import { queues } from '@dbops/ledger/runs'
import { listServices } from '@dbops/ledger/services'
import { memoryOf } from '@dbops/runtime/redis'
import type { Service } from '@dbops/runtime/service'
import { type Load, watchOverload } from './overload.ts'

export function watching(service: Service): void {
  const told = new Set<string>()
  const waiting = service.metrics.gauge('dbops_runs_waiting', 'runs that wait for a worker', ['engine', 'lane'])
  const running = service.metrics.gauge('dbops_runs_running', 'runs that a worker has in hand', ['engine', 'lane'])
  const due = service.metrics.gauge('dbops_outbox_due', 'events that are not in the stream yet', [])
  const waited = service.metrics.gauge('dbops_runs_waiting_seconds', 'age of the oldest run that waits for a worker', ['engine', 'lane'])
  const dueFor = service.metrics.gauge('dbops_outbox_due_seconds', 'age of the oldest event that is not in the stream yet', [])
  const behind = service.metrics.gauge('dbops_stream_group_behind', 'events in the stream that a registered reader has not acknowledged', [
    'group',
  ])
  const used = service.metrics.gauge('dbops_redis_used_bytes', 'memory that the operations Redis uses', [])
  const limit = service.metrics.gauge('dbops_redis_limit_bytes', 'its maxmemory; 0 where it has none', [])
  const redis = service.redis('prompt')
  const look = async (services: { name: string; detail: Record<string, unknown> }[]): Promise<Load> => ({
    now: await service.ledger.now(),
    queues: await queues(service.ledger),
    outbox: await backlog(service.ledger),
    readers: await positions(service.ledger),
    redis: await memoryOf(redis).catch(() => null),
    answers: services.flatMap(({ name, detail }) =>
      typeof detail['ledgerMs'] === 'number' ? [{ service: name, ms: detail['ledgerMs'] }] : [],
    ),
  })
  service.loop({
    name: 'watch',
    every: service.timers.heartbeat,
    always: true, // it is while Redis takes nothing that somebody wants to know
    turn: async () => {
      const services = await listServices(service.ledger, service.timers.lease)
      const load = await look(services)
      const age = (oldest: Date | null) => (oldest ? Math.max(0, load.now.getTime() - oldest.getTime()) / 1_000 : 0)
      for (const gauge of [waiting, running, waited, behind]) gauge.reset()
      for (const queue of load.queues) {
        const labels = { engine: queue.engine, lane: queue.lane }
        waiting.set(labels, queue.waiting)
        running.set(labels, queue.running)
        waited.set(labels, age(queue.oldest))
      }
      due.set(load.outbox.due)
      dueFor.set(age(load.outbox.oldest))
      for (const reader of load.readers) behind.set({ group: reader.reader }, reader.behind)
      if (load.redis) {
        used.set(load.redis.used)
        limit.set(load.redis.limit)
      }
      if (!(await hold(service.ledger, 'watcher', service.name, service.timers.lease))) return
      await watchOverload(service, load)
      for (const other of services) {
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
