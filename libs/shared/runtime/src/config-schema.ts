// Finds the schema of a place in the configuration: whether a secret stands there, what its hint is, which keys it knows.
import { nearMiss } from '@dbops/contract/names'
import { z } from 'zod'
import type { Path } from './config-problem.ts'

type Schema = z.core.$ZodType

/** The schema without its `optional`, `default` and `prefault`. */
export function bare(schema: Schema): Schema {
  let inner = schema
  while ('innerType' in inner._zod.def) inner = inner._zod.def.innerType as Schema
  return inner
}

/** The schema of `parent[key]`, undefined where nothing is expected; `parent` chooses the branch where the schema has several. */
export function childSchema(schema: Schema | undefined, key: string | number, parent: unknown): Schema | undefined {
  if (!schema) return undefined
  const inner = bare(schema)
  if (inner instanceof z.ZodObject) return Object.hasOwn(inner.shape, key) ? inner.shape[key] : undefined
  if (inner instanceof z.ZodRecord) return inner.valueType
  if (inner instanceof z.ZodArray) return inner.element
  if (inner instanceof z.ZodUnion) return childSchema(branchOf(inner, parent), key, parent)
  return inner instanceof z.ZodUnknown ? inner : undefined
}

/** The schema at a path below `schema`, where `value` stands. */
export function schemaAt(schema: Schema, path: Path, value: unknown): Schema | undefined {
  let at: Schema | undefined = schema
  let inside = value
  for (const step of path) {
    at = childSchema(at, step, inside)
    inside = valueAt(inside, [step])
  }
  return at && bare(at)
}

/** What stands at a path; undefined where nothing does. */
export const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (inside, step) =>
      typeof inside === 'object' && inside !== null && Object.hasOwn(inside, step)
        ? (inside as Record<string | number, unknown>)[step]
        : undefined,
    value,
  )

/** The keys that an object of this schema, or the chosen branch of a union, may have. */
export function keysOf(schema: Schema | undefined, value: unknown): string[] {
  const inner = schema && bare(schema)
  if (inner instanceof z.ZodUnion) return keysOf(branchOf(inner, value), value)
  return inner instanceof z.ZodObject ? Object.keys(inner.shape) : []
}

export const isSecret = (schema: Schema | undefined): boolean => Boolean(schema && metaOf(schema)['x-secret'])

/** What to write here, in words, where the schema says so. */
export const hintOf = (schema: Schema | undefined): string | undefined => schema && (metaOf(schema)['x-hint'] as string | undefined)

const metaOf = (schema: Schema): Record<string, unknown> => z.globalRegistry.get(bare(schema)) ?? {}

/** Of a union: the list for a list, the branch that the discriminator names, else the object that the keys which are there were meant for. */
export function branchOf(union: z.ZodUnion, value: unknown): Schema | undefined {
  if (Array.isArray(value)) return union.options.map(bare).find(option => option instanceof z.ZodArray)
  const objects = union.options.map(bare).filter(option => option instanceof z.ZodObject)
  const { discriminator } = union._zod.def as { discriminator?: string }
  if (discriminator)
    return objects.find(option => (option.shape[discriminator] as Schema)._zod.values?.has(valueAt(value, [discriminator]) as string))
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : []
  const meant = (option: z.ZodObject) => keys.filter(key => nearMiss(key, Object.keys(option.shape))).length
  return objects.sort((a, b) => meant(b) - meant(a))[0]
}
