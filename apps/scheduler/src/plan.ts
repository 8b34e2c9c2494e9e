// Configuration and catalogue become schedules in the ledger: resolved once, here, so that a run does what was decided at its birth.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { taskNamed } from '@dbops/catalog/catalog'
import type { ConfigFile } from '@dbops/contract/config-file'
import { parseDuration } from '@dbops/contract/duration'
import { Problem } from '@dbops/contract/failure'
import { nextSlot } from '@dbops/contract/slots'
import { clockOf, isConnectionProblem, type Queryable } from '@dbops/ledger/ledger'
import { generations, lockReconciling, newGeneration, reconcile, type Schedule, saveTargets } from '@dbops/ledger/schedules'
import { listServices } from '@dbops/ledger/services'
import type { Config } from '@dbops/runtime/config'
import { canonical, locksOf, operationOf } from '@dbops/runtime/operation'
import { resolveParams, resolveTargets } from '@dbops/runtime/params'
import { redact } from '@dbops/runtime/redact'
import type { Service } from '@dbops/runtime/service'
import { materialise } from './tick.ts'

/** What is wanted, one entry per schedule and target. Pure; the configuration has been checked. */
export function plan(config: ConfigFile): Schedule[] {
  return Object.entries(config.schedules).flatMap(([name, s]) => {
    if (!s.enabled) return []
    const task = taskNamed(s.task)
    if (!task) throw new Problem(`schedules.${name}.task: "${s.task}" is in no catalogue`, { hint: 'run "dbops config check"' })
    const { params, entries, target } = resolveParams(task, s.params, config)
    const asked = s.targets ?? (s.target ? [s.target] : [])
    const targets = task.on === 'none' ? [null] : resolveTargets(task, asked, target, config).targets
    return targets.map(one => {
      const spec: Schedule['spec'] = {
        ...(s.event === undefined ? { cron: s.cron! } : { event: s.event, debounceMs: s.debounce ? parseDuration(s.debounce) : 0 }),
        zone: s.zone ?? config.zone,
        engine: task.engine,
        lane: task.lane,
        params,
        entries,
        operation: operationOf(task, params),
        // Queued runs of one schedule go one after the other, whatever else they lock.
        locks:
          one === null ? [] : [...locksOf(task, params), ...(s.overlap === 'queue' ? [{ name: `schedule:${name}`, exclusive: true }] : [])],
        effect: task.effect,
        misfire: s.misfire,
        catchUpMs: parseDuration(s.catchUp),
        overlap: s.overlap,
        ...(s.window === undefined
          ? {}
          : { window: typeof s.window === 'string' ? { name: s.window, atEnd: 'finish' as const } : s.window }),
        jitterMs: s.jitter ? parseDuration(s.jitter) : 0,
        priority: s.priority,
        timeoutMs: parseDuration(s.timeout ?? task.timeout),
        deadlineMs: parseDuration(s.deadline ?? task.deadline),
        attempts: s.retry?.attempts ?? task.attempts,
        backoffMs: parseDuration(s.retry?.backoff ?? '30s'),
        retry: task.retry,
        recovers: task.recovers,
      }
      return { name, target: one, task: s.task, spec, specHash: createHash('sha256').update(canonical(spec)).digest('hex').slice(0, 16) }
    })
  })
}

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
    // What fell due under the old specs is born under the old specs.
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
