// What a run is about, in a word that stays the same from run to run: the task with the config entries it was given, else with a short hash of its parameters.
import { createHash } from 'node:crypto'
import { refOf, type TaskEntry } from '@dbops/catalog/catalog'

/** `pg.dump:metadata`, `pg.vacuum:3f2a1c`, `pg.health` (no parameters). With environment, engine and target it is the identity of an alert. */
export function operationOf(task: TaskEntry, params: Record<string, unknown>): string {
  const named = Object.keys(params).filter(param => refOf(task, param))
  if (named.length) return `${task.name}:${named.map(param => String(params[param])).join('+')}`
  if (!Object.keys(params).length) return task.name
  return `${task.name}:${createHash('sha256').update(canonical(params)).digest('hex').slice(0, 6)}`
}

/** The lock names of a run, with `{x}` filled in from its parameters. */
export function locksOf(task: TaskEntry, params: Record<string, unknown>): { name: string; exclusive: boolean }[] {
  const fill = (name: string) => name.replace(/\{(\w+)\}/g, (_, param: string) => String(params[param]))
  return [
    ...task.locks.shared.map(name => ({ name: fill(name), exclusive: false })),
    ...task.locks.exclusive.map(name => ({ name: fill(name), exclusive: true })),
  ]
}

/** JSON with sorted keys: equal values have equal texts. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    inner && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
