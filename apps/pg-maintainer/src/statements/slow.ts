// Which slow executions are new since the last reading, told one by one and counted for good.
import type { Look } from '@dbops/contract/task'
import { parameters, withoutLiterals } from '@dbops/runtime/without-literals'
import { z } from 'zod'
import type { PostgresVerbs } from '../task.ts'
import { slowExecutions } from './executions.ts'

/** Told with one reading at most; the rest is counted. A thousand events at once would help nobody. */
const mostTold = 20
/** As the platform cuts them, in characters. */
const room = 500
const shown = 10
const hour = 3_600_000

export const slowReading = z.strictObject({
  /** Since the first reading of this target; survives restarts of everything. */
  total: z.int(),
  /** In the last 60 minutes; null where some sessions cannot be seen, with the reason. */
  perHour: z.int().nullable(),
  reason: z.string().nullable(),
  /** Counted and not told, since too many came at once. */
  untold: z.int(),
  /** The newest first. */
  newest: z.array(
    z.strictObject({ at: z.iso.datetime(), ms: z.int(), role: z.string().nullable(), application: z.string(), query: z.string() }),
  ),
  /** How many were seen when, for `perHour`. */
  recent: z.array(z.strictObject({ at: z.iso.datetime(), n: z.int() })),
  /** Those that still ran at the end of the reading: they are told already. */
  running: z.array(z.string()),
})
type SlowReading = z.infer<typeof slowReading>

/** `slow` and `pause` in ms. */
export async function readSlow(
  c: Look<SlowReading> & PostgresVerbs,
  how: { slow: number; samples: number; pause: number },
): Promise<SlowReading> {
  const { executions, running, hidden } = await slowExecutions(c.pg, { ...how, signal: c.signal })
  const at = new Date().toISOString()
  const before = c.last?.result
  const told = new Set(before?.running)
  const fresh = executions
    .filter(({ key }) => !told.has(key))
    .toSorted((a, b) => b.ms - a.ms)
    .map(({ ms, query, ...rest }) => ({ ...rest, ms: Math.round(ms), query: withoutLiterals(query, room), parameters: parameters(query) }))
  for (const { pid, role, application, ms, query, parameters: count } of fresh.slice(0, mostTold))
    c.tell('db_query_slow', { duration_ms: ms, query, params_count: count, pid, role, application, source: 'sampling' })
  const recent = [...(before?.recent ?? []), ...(fresh.length ? [{ at, n: fresh.length }] : [])].filter(
    ({ at: then }) => Date.parse(at) - Date.parse(then) < hour,
  )
  const newest = fresh.map(({ ms, role, application, query }) => ({ at, ms, role, application, query }))
  return {
    total: (before?.total ?? 0) + fresh.length,
    perHour: hidden ? null : recent.reduce((sum, { n }) => sum + n, 0),
    reason: hidden ? `${hidden} ${hidden === 1 ? 'session' : 'sessions'} cannot be seen: GRANT pg_monitor to our role` : null,
    untold: Math.max(0, fresh.length - mostTold),
    newest: [...newest, ...(before?.newest ?? [])].slice(0, shown),
    recent,
    running,
  }
}
