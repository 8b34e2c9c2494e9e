// Takes the readings of an engine's probes: once per target, however many replicas there are, and an event only when a state changes.
import { taskNamed } from '@dbops/catalog/catalog'
import type { ConfigFile, Schedule } from '@dbops/contract/config-file'
import { parseDuration } from '@dbops/contract/duration'
import type { Envelope } from '@dbops/contract/envelope'
import { failureOf } from '@dbops/contract/failure'
import type { SignalName } from '@dbops/contract/signals'
import type { Fault, Gauge, LedgerAccess, Look, Probe } from '@dbops/contract/task'
import { saveFindings } from '@dbops/ledger/findings'
import { hold } from '@dbops/ledger/leases'
import type { Queryable } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import { lastReading, type Reading, saveReading } from '@dbops/ledger/probes'
import type { EngineDriver, OpenTarget, Session } from './engine.ts'
import { findingEvent } from './finding-event.ts'
import { resolveParams, resolveTargets } from './params.ts'
import { redact, redactAll } from './redact.ts'
import type { Service } from './service.ts'

export function runProbes<Verbs>(service: Service, driver: EngineDriver<Verbs>, probes: Probe<Verbs>[], targets: OpenTarget[]): void {
  const entries = targets.map(({ name }) => entriesOf(service.config, name))
  for (const probe of probes) {
    const every = parseDuration(probe.every)
    for (const [index, target] of targets.entries()) {
      const gauges = new Gauges(service, { engine: driver.engine, target: target.name })
      service.loop({
        name: `probe ${probe.name} ${target.name}`,
        every,
        steady: true,
        always: true,
        turn: async () => {
          try {
            // Longer than the interval, so that the holder keeps it from reading to reading.
            if (await hold(service.ledger, `probe:${target.name}:${probe.name}`, service.name, every * 2))
              await read(service, driver, probe, target, entries[index]!, gauges)
            else gauges.clear()
          } catch (error) {
            gauges.clear()
            throw error
          }
        },
      })
    }
  }
}

/** What one probe shows of one target. A number that nobody reads any more is taken down, as it would look like a fresh one for ever. */
class Gauges {
  private shown: { name: string; labels: Record<string, string> }[] = []
  private readonly service: Service
  private readonly labels: { engine: string; target: string }
  constructor(service: Service, labels: { engine: string; target: string }) {
    this.service = service
    this.labels = labels
  }
  show(values: Record<string, Gauge>, help: string): void {
    for (const [name, value] of Object.entries(values)) this.set(`dbops_${name}`, help, this.labels, value)
  }
  /** Names of others, as they are, with the target alone beside their own labels. */
  showCompat(values: Record<string, Gauge>): void {
    for (const [name, value] of Object.entries(values)) this.set(name, 'as others name it', { target: this.labels.target }, value)
  }
  clear(): void {
    for (const { name, labels } of this.shown) this.gauge(name, '', labels).remove(labels)
    this.shown = []
  }
  private set(name: string, help: string, own: Record<string, string>, value: Gauge): void {
    for (const one of Array.isArray(value) ? value : [{ labels: {}, value }]) {
      // What cannot be known is not shown: NaN would be neither above a threshold nor absent.
      if (one.value === null) continue
      const labels = { ...own, ...one.labels }
      this.shown.push({ name, labels })
      this.gauge(name, help, labels).set(labels, one.value)
    }
  }
  private gauge(name: string, help: string, labels: Record<string, string>) {
    return this.service.metrics.gauge(name, help, Object.keys(labels))
  }
}

async function read<Verbs>(
  service: Service,
  driver: EngineDriver<Verbs>,
  probe: Probe<Verbs>,
  target: OpenTarget,
  entries: Entries,
  gauges: Gauges,
): Promise<void> {
  const { ledger } = service
  const last = await lastReading(ledger, target.name, probe.name)
  // From here on: a ledger that is slow takes nothing of the target's time.
  const signal = AbortSignal.any([service.signal, AbortSignal.timeout(parseDuration(probe.timeout))])
  const name = `dbops:${ledger.installation}:probe:${probe.name}`
  const reading: Reading = { target: target.name, probe: probe.name, state: 'ok', result: null, error: null, told: false }
  const beside = new Beside()
  const isHealth = probe.name === `${driver.engine}.health`
  let ledgerFailed: { error: unknown } | undefined
  const query = (sql: string, values?: unknown[]) =>
    ledger.query(sql, values).catch((error: unknown) => {
      ledgerFailed = { error }
      throw error
    })
  let session: Session<Verbs> | undefined
  try {
    session = await driver.look(target, name, signal)
    const look: Look<Record<string, unknown>> = {
      target: target.name,
      config: target.config,
      entries,
      environment: target.environment,
      installation: ledger.installation,
      signal,
      last,
      ledger: { query: query as LedgerAccess['query'] },
      tell: (event, data, operation) => void beside.events.push({ event, data, operation }),
      find: fault => void beside.faults.push(fault),
      keep: work => void beside.keeping.push(work),
    }
    reading.result = redactAll(probe.result.parse(await probe.look({ ...look, ...session.verbs })))
  } catch (error) {
    if (service.signal.aborted) return
    // It says nothing of the target.
    if (ledgerFailed) throw ledgerFailed.error
    const told = failureOf(signal.aborted ? new Error(`no answer within ${probe.timeout}`) : error)
    reading.state = 'failed'
    reading.error = { ...told, message: redact(told.message) }
    // A target that does not answer is told once, by its health.
    reading.told = isHealth || session !== undefined
  } finally {
    await session?.close()
  }
  gauges.clear()
  if (isHealth) gauges.show({ target_up: reading.state === 'ok' ? 1 : 0 }, 'whether a target answers')
  gauges.show(
    { probe_ok: [{ labels: { probe: probe.name }, value: reading.state === 'ok' ? 1 : 0 }] },
    'whether the last reading succeeded',
  )
  if (reading.result) {
    gauges.show(probe.gauges(reading.result), `from probe ${probe.name}`)
    if (service.config.metrics.compat) gauges.showCompat(probe.compat(reading.result))
  }

  const told = await ledger.transaction(db => save(db, service, driver.engine, probe, target, reading, beside))
  if (told)
    service.log[reading.state === 'failed' ? 'error' : 'info'](
      { event: told, target: target.name, probe: probe.name, code: reading.error?.code },
      `${target.name}: ${reading.error?.message ?? 'answers again'}`,
    )
}

/** What a look says beside its result. */
class Beside {
  readonly events: { event: SignalName; data: Record<string, unknown>; operation: string | undefined }[] = []
  readonly faults: Fault[] = []
  readonly keeping: ((db: LedgerAccess) => Promise<void>)[] = []
}

/** The reading and everything beside it, in one transaction. Answers the event of a changed state. */
async function save<Verbs>(
  db: Queryable,
  service: Service,
  engine: string,
  probe: Probe<Verbs>,
  target: OpenTarget,
  reading: Reading,
  beside: Beside,
): Promise<SignalName | undefined> {
  const subject = `${engine}/${target.name}`
  const { was, told, since } = await saveReading(db, reading)
  const events: Envelope[] = []
  let changed: SignalName | undefined
  if (reading.state === 'failed' ? reading.told && !told : was === 'failed' && told) {
    changed = reading.state === 'failed' ? probe.emits.failed : probe.emits.recovered
    const data = { probe: probe.name, state: reading.state, since: since.toISOString(), error: reading.error, result: reading.result }
    events.push(service.event({ event: changed, subject, operation: probe.name, data }))
  }
  if (reading.state === 'ok') {
    for (const { event, data, operation } of beside.events)
      events.push(service.event({ event, subject, operation: operation ?? probe.name, data: redactAll(data) }))
    const faults = beside.faults.map(fault => redactAll({ ...fault }))
    const { opened, gone } = await saveFindings(db, { target: target.name, source: probe.name }, faults)
    events.push(
      ...opened.map(finding => findingEvent(service, engine, finding, 'opened')),
      ...gone.map(finding => findingEvent(service, engine, finding, 'gone')),
    )
    for (const work of beside.keeping) await work(db)
  }
  if (events.length) await publish(db, events)
  return changed
}

type Entries = Look<unknown>['entries']

function entriesOf(config: ConfigFile, target: string): Entries {
  const mine = <T extends { target: string }>(section: Record<string, T>): Record<string, T> =>
    Object.fromEntries(Object.entries(section).filter(([, entry]) => entry.target === target))
  const { pools, views, purges, dumps, ingest } = config
  const schedules = Object.fromEntries(Object.entries(config.schedules).filter(([, schedule]) => worksOn(schedule, target, config)))
  return { pools: mine(pools), views: mine(views), purges: mine(purges), dumps: mine(dumps), ingest: mine(ingest), schedules }
}

/** By its own words, or by the entry that a parameter names. */
function worksOn({ task: name, params, target: one, targets }: Schedule, target: string, config: ConfigFile): boolean {
  const task = taskNamed(name)
  if (!task) return false
  const { target: carried } = resolveParams(task, params, config)
  return resolveTargets(task, targets ?? (one === undefined ? [] : [one]), carried, config).targets.includes(target)
}
