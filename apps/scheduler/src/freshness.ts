// Shows Prometheus, for every planned schedule, when it last came about and how old that may become: failure and absence look the same to whoever needs the result.
import { setImmediate as immediate } from 'node:timers/promises'
import { taskNamed } from '@dbops/catalog/catalog'
import { nextSlot } from '@dbops/contract/slots'
import { type LastSuccess, lastSuccesses } from '@dbops/ledger/schedules'
import type { Service } from '@dbops/runtime/service'

const hour = 3_600_000
const day = 24 * hour
const labels = ['schedule', 'task', 'target', 'operation'] as const

export function showingFreshness(service: Service): void {
  const { metrics, ledger, config } = service
  const planned = metrics.gauge('dbops_schedule_planned_timestamp_seconds', 'when a schedule came into the plan', labels)
  const success = metrics.gauge('dbops_schedule_success_timestamp_seconds', 'when what a schedule does last succeeded; none: never', labels)
  const maxAge = metrics.gauge(
    'dbops_schedule_max_age_seconds',
    'how old that success may be: two of its longest intervals and the deadline of a run',
    labels,
  )
  // The platform's own rule knows one age for all backups, two days: it is shown those alone that are planned daily or more often.
  const compat = config.metrics.compat
    ? metrics.gauge('axiom_backup_last_success_timestamp', 'as others name it', ['operation', 'target'])
    : undefined
  const gaps = new Map<string, number>()
  service.loop({
    name: 'freshness',
    every: 60_000,
    // Also before the rest is ready: the next turn is a minute away.
    always: true,
    turn: async alive => {
      const now = await ledger.now()
      const all = await lastSuccesses(ledger)
      for (const one of all) {
        const rhythm = `${one.cron} ${one.zone}`
        if (gaps.has(rhythm)) continue
        gaps.set(rhythm, longestGap(one, now))
        // Some milliseconds each: with thousands of them the other loops must have their turns in between.
        await immediate()
        alive()
      }
      for (const gauge of [planned, success, maxAge, compat]) gauge?.reset()
      for (const one of all) {
        const { name: schedule, task, operation, cron, zone } = one
        const named = { schedule, task, target: one.target ?? '', operation }
        const gap = gaps.get(`${cron} ${zone}`)!
        planned.set(named, one.plannedAt.getTime() / 1_000)
        maxAge.set(named, (2 * gap + one.deadlineMs) / 1_000)
        if (!one.succeededAt) continue
        success.set(named, one.succeededAt.getTime() / 1_000)
        if (taskNamed(task)?.produces && gap <= day) compat?.set({ operation, target: named.target }, one.succeededAt.getTime() / 1_000)
      }
    },
  })
}

/**
 * In ms, the longest wait between two slots: within five weeks looked at from hour to hour, then within a year from week to week. Exact for whatever runs less often than that,
 * and a step short at most for the nights, weekends and summers of what runs more often.
 */
export function longestGap({ cron, zone }: Pick<LastSuccess, 'cron' | 'zone'>, now: Date): number {
  let longest = 0
  for (let at = now; at.getTime() < now.getTime() + 366 * day; ) {
    const next = nextSlot(cron, zone, at)
    if (!next) break
    longest = Math.max(longest, next.getTime() - at.getTime())
    const step = at.getTime() < now.getTime() + 35 * day ? hour : 7 * day
    at = new Date(Math.max(next.getTime(), at.getTime() + step))
  }
  return longest
}
