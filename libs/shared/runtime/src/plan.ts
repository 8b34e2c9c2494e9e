// Configuration and catalogue become schedules: resolved once, here, so that a run does what was decided at its birth.
import { createHash } from 'node:crypto'
import { taskNamed } from '@dbops/catalog/catalog'
import type { ConfigFile } from '@dbops/contract/config-file'
import { parseDuration } from '@dbops/contract/duration'
import { Problem } from '@dbops/contract/failure'
import type { Schedule } from '@dbops/ledger/schedules'
import { canonical, locksOf, operationOf } from './operation.ts'
import { resolveParams, resolveTargets } from './params.ts'

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
