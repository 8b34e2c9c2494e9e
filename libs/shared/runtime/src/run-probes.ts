// Takes the readings of an engine's probes: once per target, however many replicas there are, and an event only when a state changes.
import { parseDuration } from '@dbops/contract/duration'
import { failureOf } from '@dbops/contract/failure'
import type { Probe } from '@dbops/contract/task'
import { hold } from '@dbops/ledger/leases'
import { publish } from '@dbops/ledger/outbox'
import { type Reading, saveReading } from '@dbops/ledger/probes'
import type { EngineDriver, OpenTarget } from './engine.ts'
import { redact } from './redact.ts'
import type { Service } from './service.ts'

export function runProbes<Verbs>(service: Service, driver: EngineDriver<Verbs>, probes: Probe<Verbs>[], targets: OpenTarget[]): void {
  for (const probe of probes) {
    const every = parseDuration(probe.every)
    for (const target of targets)
      service.loop({
        name: `probe ${probe.name} ${target.name}`,
        every,
        always: true,
        turn: async () => {
          // Longer than the interval, so that the holder keeps it from reading to reading.
          if (await hold(service.ledger, `probe:${target.name}:${probe.name}`, service.name, every * 2))
            await read(service, driver, probe, target)
        },
      })
  }
}

async function read<Verbs>(service: Service, driver: EngineDriver<Verbs>, probe: Probe<Verbs>, target: OpenTarget): Promise<void> {
  const signal = AbortSignal.any([service.signal, AbortSignal.timeout(parseDuration(probe.timeout))])
  const name = `dbops:${service.ledger.installation}:probe:${probe.name}`
  const reading: Reading = { target: target.name, probe: probe.name, state: 'ok', result: null, error: null }
  try {
    const session = await driver.look(target, name, signal)
    try {
      reading.result = probe.result.parse(await probe.look({ target: target.name, signal, ...session.verbs })) as Record<string, unknown>
    } finally {
      await session.close()
    }
  } catch (error) {
    if (service.signal.aborted) return
    const told = failureOf(signal.aborted ? new Error(`no answer within ${probe.timeout}`) : error)
    reading.state = 'failed'
    reading.error = { ...told, message: redact(told.message) }
  }
  const labels = { engine: driver.engine, target: target.name }
  service.metrics.gauge('dbops_target_up', 'whether a target answers', ['engine', 'target']).set(labels, reading.state === 'ok' ? 1 : 0)
  if (reading.result)
    for (const [gauge, value] of Object.entries(probe.gauges(reading.result)))
      service.metrics.gauge(`dbops_${gauge}`, `from probe ${probe.name}`, ['engine', 'target']).set(labels, value ?? Number.NaN)

  const changed = await service.ledger.transaction(async db => {
    const { was, since } = await saveReading(db, reading)
    // The first good reading of a target is no news.
    if (was === reading.state || (was === null && reading.state === 'ok')) return undefined
    const event = reading.state === 'failed' ? probe.emits.failed : probe.emits.recovered
    await publish(db, [
      service.event({
        event,
        subject: `${driver.engine}/${target.name}`,
        operation: probe.name,
        data: { probe: probe.name, state: reading.state, since: since.toISOString(), error: reading.error, result: reading.result },
      }),
    ])
    return event
  })
  if (changed)
    service.log[reading.state === 'failed' ? 'error' : 'info'](
      { event: changed, target: target.name, probe: probe.name, code: reading.error?.code },
      `${target.name}: ${reading.error?.message ?? 'answers again'}`,
    )
}
