// Ways into a configuration that may be wrong in any other way: other checks say when a value has the wrong type, so these see only what fits.
import type { Catalog } from '@dbops/catalog/catalog'
import { nearMiss } from '@dbops/contract/names'
import type { Found, Path } from './config-problem.ts'
import { unknownName } from './params.ts'

/** Keys with values, as they were written. */
export type Raw = Record<string, unknown>

export const fault = (path: Path, message: string, hint: string): Found => ({ path, message, hint })

export const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
export const object = (value: unknown): Raw | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : undefined

/** The entries of a section of names, each with its path. */
export const entries = (holder: Raw | undefined, section: string, above: Path = []): [Path, Raw][] =>
  Object.entries(object(holder?.[section]) ?? {}).flatMap(([name, value]) => mapping([...above, section, name], value))

/** The entries of a list, each with its path. */
export const list = (value: unknown, path: Path): [Path, Raw][] =>
  (Array.isArray(value) ? value : []).flatMap((item: unknown, index) => mapping([...path, index], item))

const mapping = (path: Path, value: unknown): [Path, Raw][] => {
  const entry = object(value)
  return entry ? [[path, entry]] : []
}

/** The texts of a list, each with its path. */
export const words = (value: unknown, path: Path): [Path, string][] =>
  (Array.isArray(value) ? value : []).flatMap((item: unknown, index) =>
    typeof item === 'string' ? [[[...path, index], item] as [Path, string]] : [],
  )

/** Nothing when the section has an entry of this name. `called` is the section's full name. */
export function inSection(holder: Raw | undefined, section: string, name: string | undefined, path: Path, called = section): Found[] {
  const known = Object.keys(object(holder?.[section]) ?? {})
  return name === undefined || known.includes(name) ? [] : [{ path, ...unknownName(name, called, known) }]
}

/** Nothing when the catalogue has a task of this name. */
export function inCatalog(catalog: Catalog, name: string | undefined, path: Path): Found[] {
  const known = catalog.tasks.map(task => task.name)
  if (name === undefined || known.includes(name)) return []
  return [fault(path, `"${name}" is no task`, nearMiss(name, known) ?? `tasks: ${known.join(', ')}`)]
}
