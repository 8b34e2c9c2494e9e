// Goes over the stores for what killed runs left behind: places without a manifest, whose fence is not live and which nobody has written to for an hour.
import { openStore } from '@dbops/artifacts/open-store'
import { sweepLeftovers } from '@dbops/artifacts/sweep'
import { hold } from '@dbops/ledger/leases'
import { find } from '@dbops/ledger/runs'
import type { Service } from '@dbops/runtime/service'

const every = 600_000
const untouchedFor = 3_600_000

export function sweeping(service: Service): void {
  service.loop({
    name: 'sweep',
    every,
    turn: async alive => {
      if (!(await hold(service.ledger, 'sweeper', service.name, every * 2))) return
      const now = await service.ledger.now()
      for (const [name, config] of Object.entries(service.config.stores)) {
        try {
          const store = await openStore(name, config)
          const scope = {
            prefix: service.config.environment,
            isLive: async (run: string, fence: number) => {
              alive()
              return (await find(service.ledger, run)).some(r => r.state === 'running' && r.fence === fence)
            },
            olderThan: new Date(now.getTime() - untouchedFor),
            by: service.name,
            now,
            signal: service.signal,
          }
          for await (const left of sweepLeftovers(store, scope)) {
            alive()
            service.log.info(
              { event: 'leftover_swept', store: name, place: left.place, files: left.files, bytes: left.bytes },
              `swept ${left.place}: ${left.reason}`,
            )
          }
        } catch (error) {
          service.log.warn({ event: 'sweep_failed', store: name, error }, `store ${name} was not swept: ${(error as Error).message}`)
        }
      }
    },
  })
}
