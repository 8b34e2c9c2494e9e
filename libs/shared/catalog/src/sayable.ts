// Whether JSON Schema can say a zod schema whole. The catalogue carries parameters as JSON Schema and every other process checks with what
// comes back from it, so what is lost on the way (a refinement, a transform, a flag of a regular expression) would be checked by nobody.
import { z } from 'zod'

/** What a declaration may be built of. Not `prefault`: what comes back is a `default`, whose value nobody parses. */
const kinds = new Set(
  'object string number boolean null unknown any never literal enum array tuple record union optional nullable default readonly'.split(' '),
)
const checks = new Set('min_length max_length length_equals greater_than less_than multiple_of number_format string_format'.split(' '))

interface Check {
  _zod: { def: { check: string; pattern?: RegExp } }
}
type Node = z.ZodType & { _zod: { def: { type: string; coerce?: boolean; check?: string; pattern?: RegExp; checks?: Check[] } } }
type Json = Record<string, unknown>

/** The reasons why JSON Schema cannot say `schema`, each with its path in it; none when it can. */
export function unsayable(schema: z.ZodType, io: 'input' | 'output' = 'input'): string[] {
  const inside = [...walk(schema as Node, '')].flatMap(([path, node]) => notSayable(node).map(what => `${path || 'the schema'} ${what}`))
  if (inside.length) return inside
  const said = z.toJSONSchema(schema, { io }) as Json
  if (JSON.stringify(said) !== JSON.stringify(z.toJSONSchema(schema, { io })))
    return ['the schema has a default that is another one at each look']
  const back = z.toJSONSchema(z.fromJSONSchema(said), { io }) as Json
  const lost = firstDifference(canonical(said), canonical(back), '')
  return lost === undefined ? [] : [`${lost || 'the schema'} comes back from JSON Schema as something else`]
}

function notSayable({ _zod: { def } }: Node): string[] {
  // A format such as z.uuid() is its own first check; a chained .regex() is one of `checks`.
  const own = def.check ? [{ _zod: { def } } as Check] : []
  return [
    ...(kinds.has(def.type) ? [] : [`is of the kind "${def.type}"`]),
    ...(def.coerce ? ['is coerced'] : []),
    ...[...own, ...(def.checks ?? [])].flatMap(({ _zod: { def: check } }) => [
      ...(checks.has(check.check) ? [] : [check.check === 'custom' ? 'is refined' : `has the check "${check.check}"`]),
      ...(check.pattern?.flags.replace('u', '') ? [`has a pattern with flags (${check.pattern.toString()})`] : []),
    ]),
  ]
}

/** Every schema inside, with its path, down to what is not sayable itself; a schema that contains itself is walked once. */
function* walk(node: Node, path: string, seen = new Set<Node>()): Generator<[string, Node]> {
  if (seen.has(node)) return
  seen.add(node)
  yield [path, node]
  if (!kinds.has(node._zod.def.type)) return
  for (const [key, part] of Object.entries(node._zod.def as unknown as Json)) {
    if (isSchema(part)) yield* walk(part, key === 'element' ? `${path}[]` : path, seen)
    else if (key !== 'checks' && part && typeof part === 'object')
      for (const [name, inner] of Object.entries(part))
        if (isSchema(inner)) yield* walk(inner, key === 'shape' ? [path, name].filter(Boolean).join('.') : path, seen)
  }
}
const isSchema = (value: unknown): value is Node => value instanceof z.core.$ZodType

const utc = z.toJSONSchema(z.iso.datetime()).pattern as string
const anyOffset = z.toJSONSchema(z.fromJSONSchema({ type: 'string', format: 'date-time' })).pattern as string

/** One form for the spellings of one meaning that zod's way there and back produces; sorted keys, so that two can be compared as text. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (!value || typeof value !== 'object') return value
  const { $schema: _, pattern, format, allOf, ...rest } = value as Json & { allOf?: Json[] }
  const onlyPatterns = allOf?.every(part => Object.keys(part).join() === 'pattern')
  const patterns = new Set([pattern, ...(onlyPatterns ? allOf!.map(part => part.pattern) : [])].filter(Boolean))
  // A format is stored with its pattern and comes back as both its own and the stored one. A time in UTC is one with any offset, so it adds nothing.
  if (patterns.has(utc)) patterns.delete(anyOffset)
  const kept = Object.entries({
    ...rest,
    ...(allOf && !onlyPatterns ? { allOf } : {}),
    ...(patterns.size ? { patterns: [...patterns].toSorted(byText) } : { format }),
  }).filter(([key, part]) => part !== undefined && !((key === 'properties' || key === 'additionalProperties') && isEmpty(part)))
  return Object.fromEntries(kept.toSorted(([a], [b]) => byText(a, b)).map(([key, part]) => [key, canonical(part)]))
}
const byText = (a: unknown, b: unknown) => (String(a) < String(b) ? -1 : 1)
const isEmpty = (part: unknown) => Boolean(part) && typeof part === 'object' && Object.keys(part as Json).length === 0

/** The path of the deepest place where two canonical schemas part; undefined when they do not. */
function firstDifference(a: unknown, b: unknown, path: string): string | undefined {
  if (JSON.stringify(a) === JSON.stringify(b)) return undefined
  const [left, right] = [a, b].map(side => (side as { properties?: Json } | undefined)?.properties)
  const name = left && right && Object.keys(left).find(key => JSON.stringify(left[key]) !== JSON.stringify(right[key]))
  return name === undefined ? path : firstDifference(left![name], right![name], [path, name].filter(Boolean).join('.'))
}
