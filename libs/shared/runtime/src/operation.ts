// What a run is about, in a word that stays the same from run to run: the task with the config entries it was given, else with a short hash of its parameters.
import { createHash } from 'node:crypto'
import { isHow, refOf, type TaskEntry } from '@dbops/catalog/catalog'
import { parseDuration } from '@dbops/contract/duration'

/** `pg.dump:metadata`, `pg.vacuum:3f2a1c`, `pg.health` (no parameters). With environment, engine and target it is the identity of an alert. */
export function operationOf(task: TaskEntry, params: Record<string, unknown>): string {
  const named = Object.keys(params).filter(param => refOf(task, param))
  if (named.length) return `${task.name}:${named.map(param => String(params[param])).join('+')}`
  const what = whatOf(task, params)
  if (!Object.keys(what).length) return task.name
  return `${task.name}:${createHash('sha256').update(canonical(what)).digest('hex').slice(0, 6)}`
}

/** Without those that say how. */
const whatOf = (task: TaskEntry, params: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(params).filter(([param]) => !isHow(task, param)))

/** Whether the operation is one that the configuration knows: it comes again, and its next success ends what an earlier failure opened. */
export const isNamed = (task: TaskEntry, params: Record<string, unknown>): boolean =>
  !Object.keys(whatOf(task, params)).length || Object.keys(params).some(param => refOf(task, param))

/** The lock names of a run, with `{x}` filled in from its parameters. */
export function locksOf(task: TaskEntry, params: Record<string, unknown>): { name: string; exclusive: boolean }[] {
  const fill = (name: string) => name.replace(/\{(\w+)\}/g, (_, param: string) => String(params[param]))
  return [
    ...task.locks.shared.map(name => ({ name: fill(name), exclusive: false })),
    ...task.locks.exclusive.map(name => ({ name: fill(name), exclusive: true })),
  ]
}

/** `at` − the age of the entry that has one: the cut-off that stays the same for all attempts of a run. */
export function cutOffOf(entries: Record<string, unknown>, at: Date): { cutOff?: string } {
  const age = Object.values(entries)
    .map(entry => (entry as { age?: unknown } | null)?.age)
    .find(age => typeof age === 'string')
  return age === undefined ? {} : { cutOff: new Date(at.getTime() - parseDuration(age)).toISOString() }
}

/** JSON with sorted keys: equal values have equal texts. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
