// Takes the readings of an engine's probes: once per target, however many replicas there are, and an event only when a state changes.
import { parseDuration } from '@dbops/contract/duration'
import { failureOf } from '@dbops/contract/failure'
import type { Probe } from '@dbops/contract/task'
import { hold } from '@dbops/ledger/leases'
import { publish } from '@dbops/ledger/outbox'
import { type Reading, saveReading } from '@dbops/ledger/probes'
import type { EngineDriver, OpenTarget } from './engine.ts'
import { redact, redactAll } from './redact.ts'
import type { Service } from './service.ts'

export function runProbes<Verbs>(service: Service, driver: EngineDriver<Verbs>, probes: Probe<Verbs>[], targets: OpenTarget[]): void {
  for (const probe of probes) {
    const every = parseDuration(probe.every)
    for (const target of targets) {
      const gauges = new Gauges(service, { engine: driver.engine, target: target.name })
      service.loop({
        name: `probe ${probe.name} ${target.name}`,
        every,
        always: true,
        turn: async () => {
          // Longer than the interval, so that the holder keeps it from reading to reading.
          if (await hold(service.ledger, `probe:${target.name}:${probe.name}`, service.name, every * 2))
            await read(service, driver, probe, target, gauges)
          else gauges.clear()
        },
      })
    }
  }
}

/** What one probe shows of one target. A number that nobody reads any more is taken down, as it would look like a fresh one for ever. */
class Gauges {
  private readonly shown = new Set<string>()
  private readonly service: Service
  private readonly labels: { engine: string; target: string }
  constructor(service: Service, labels: { engine: string; target: string }) {
    this.service = service
    this.labels = labels
  }
  show(values: Record<string, number | null>, help: string): void {
    for (const [name, value] of Object.entries(values)) {
      this.shown.add(name)
      this.gauge(name, help).set(this.labels, value ?? Number.NaN)
    }
  }
  clear(): void {
    for (const name of this.shown) this.gauge(name).remove(this.labels)
    this.shown.clear()
  }
  private gauge(name: string, help = '') {
    return this.service.metrics.gauge(`dbops_${name}`, help, ['engine', 'target'])
  }
}

async function read<Verbs>(
  service: Service,
  driver: EngineDriver<Verbs>,
  probe: Probe<Verbs>,
  target: OpenTarget,
  gauges: Gauges,
): Promise<void> {
  const signal = AbortSignal.any([service.signal, AbortSignal.timeout(parseDuration(probe.timeout))])
  const name = `dbops:${service.ledger.installation}:probe:${probe.name}`
  const reading: Reading = { target: target.name, probe: probe.name, state: 'ok', result: null, error: null }
  try {
    const session = await driver.look(target, name, signal)
    try {
      reading.result = redactAll(probe.result.parse(await probe.look({ target: target.name, signal, ...session.verbs })))
    } finally {
      await session.close()
    }
  } catch (error) {
    if (service.signal.aborted) return
    const told = failureOf(signal.aborted ? new Error(`no answer within ${probe.timeout}`) : error)
    reading.state = 'failed'
    reading.error = { ...told, message: redact(told.message) }
  }
  gauges.clear()
  gauges.show({ target_up: reading.state === 'ok' ? 1 : 0 }, 'whether a target answers')
  if (reading.result) gauges.show(probe.gauges(reading.result), `from probe ${probe.name}`)

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
