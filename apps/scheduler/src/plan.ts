// Brings the ledger's schedules to what the configuration wants.
import { setTimeout as sleep } from 'node:timers/promises'
import { nextSlot } from '@dbops/contract/slots'
import { clockOf, isConnectionProblem, type Queryable } from '@dbops/ledger/ledger'
import { generations, lockReconciling, lockSchedules, newGeneration, reconcile, saveTargets } from '@dbops/ledger/schedules'
import { listServices } from '@dbops/ledger/services'
import type { Config } from '@dbops/runtime/config'
import { plan } from '@dbops/runtime/plan'
import { redact } from '@dbops/runtime/redact'
import type { Service } from '@dbops/runtime/service'
import { materialise } from './tick.ts'

/**
 * Applies the configuration, once at the start and whenever it turns out that the ledger has an older one. A configuration that the ledger knows as older than its newest
 * is not applied while a living scheduler runs the newer; alone, it becomes a new generation (somebody rolled back).
 */
export async function planning(service: Service): Promise<void> {
  let applied = false
  service.loop({
    name: 'plan',
    every: 60_000,
    turn: async () => {
      if (applied) return
      applied = await apply(service)
    },
  })
  // The ledger may go away again just now: a scheduler that is starting waits for it, as at any other time.
  while (!service.signal.aborted)
    try {
      applied = await apply(service)
      return
    } catch (error) {
      if (!isConnectionProblem(error)) throw error
      service.hinder('ledger', `the ledger does not answer: ${redact((error as Error).message)}`)
      await sleep(1_000, undefined, { signal: service.signal }).catch(() => undefined)
    }
}

export async function apply(
  service: Pick<Service, 'config' | 'ledger' | 'log' | 'name' | 'timers' | 'option' | 'event'>,
): Promise<boolean> {
  const { config, ledger } = service
  const outcome = await ledger.transaction(async db => {
    await lockReconciling(db)
    const { mine, newest } = await generations(db, config.hash)
    if (newest && newest.hash !== config.hash && mine !== null && mine < newest.generation && (await anotherRuns(db, service, newest.hash)))
      return { older: true as const }
    if (newest?.hash !== config.hash) await newGeneration(db, config.hash)
    await saveTargets(db, targetsOf(config))
    // What fell due under the old specs is born under the old specs: none that another scheduler has in hand is passed over, and none that it takes after this clock is taken again.
    await lockSchedules(db)
    const now = await clockOf(db)
    while (await materialise(db, service, now));
    const changes = await reconcile(
      db,
      plan(config),
      s => (s.spec.cron === undefined ? null : nextSlot(s.spec.cron, s.spec.zone, now)),
      service.option('allow-mass-disable') === 'true',
    )
    return { changes }
  })
  if ('older' in outcome) {
    service.log.warn({ event: 'config_older' }, 'this configuration is older than that of another living scheduler; its schedules stand')
    return false
  }
  const { added, changed, disabled } = outcome.changes
  service.log.info(
    { event: 'config_applied', added, changed, disabled, hash: config.hash.slice(0, 12) },
    `configuration applied: ${added.length} schedules added, ${changed.length} changed, ${disabled.length} disabled`,
  )
  return true
}

const anotherRuns = async (db: Queryable, service: Pick<Service, 'name' | 'timers'>, hash: string) =>
  (await listServices(db, service.timers.lease)).some(
    other => other.app === 'scheduler' && other.name !== service.name && other.configHash === hash,
  )

const targetsOf = (config: Config) =>
  Object.entries(config.targets).map(([name, t]) => ({
    name,
    engine: t.engine,
    heavy: t.concurrency.heavy,
    light: t.concurrency.light,
    labels: t.labels,
  }))
