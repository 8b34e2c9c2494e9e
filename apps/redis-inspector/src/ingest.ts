// Ingest: the platform's own streams become events of ours, once each. Each entry of `ingest:` has one connection and one reader, in as many replicas as there are.
import type { RedisTarget } from '@dbops/contract/config-file'
import type { Service } from '@dbops/runtime/service'
import { readStream } from './ingest/read-stream.ts'

export function ingesting(service: Service): void {
  const { ingest, targets } = service.config
  for (const [name, config] of Object.entries(ingest)) {
    let turned = performance.now()
    service.mustTurn(`the reader of ${config.stream}`, () => performance.now() - turned)
    const reading = readStream(
      service,
      { name, config, target: targets[config.target] as RedisTarget },
      () => void (turned = performance.now()),
    )
    service.onStop(() => reading)
  }
}
