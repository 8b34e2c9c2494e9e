// What zod found, in words for people: what stands there, what is expected, the mend.
import { nearMiss } from '@dbops/contract/names'
import { z } from 'zod'
import type { Found, Path } from './config-problem.ts'
import { branchOf, hintOf, isSecret, keysOf, schemaAt, valueAt } from './config-schema.ts'

type Issue = z.core.$ZodIssue

/** Every issue of a failed parse of `value` as something wrong at its path. Values of secrets are not repeated. */
export const inWords = (issues: readonly Issue[], schema: z.core.$ZodType, value: unknown): Found[] =>
  issues.flatMap(issue => wordsOf(issue, schema, value))

/** What is wrong with the value at `path`, by a schema that zod did not get to there. */
function inside(schema: z.core.$ZodType | undefined, root: z.core.$ZodType, whole: unknown, path: Path): Found[] {
  const parsed = schema && z.safeParse(schema, valueAt(whole, path))
  return parsed?.error ? parsed.error.issues.flatMap(issue => wordsOf({ ...issue, path: [...path, ...issue.path] }, root, whole)) : []
}

function wordsOf(issue: Issue, root: z.core.$ZodType, whole: unknown): Found[] {
  const path = issue.path as Path
  const schema = schemaAt(root, path, whole)
  const value = valueAt(whole, path)
  const told = (message: string, hint: string): Found[] => [{ path, message, hint: hintOf(schema) ?? hint }]
  const hidden = path.some((_, step) => isSecret(schemaAt(root, path.slice(0, step + 1), whole)))
  const shown = hidden ? `a ${kindOf(value)}` : show(value)

  if (issue.code === 'unrecognized_keys') {
    const known = keysOf(schema, value)
    return issue.keys.map(key => ({
      path: [...path, key],
      message: `"${key}" is not known here`,
      hint:
        nearMiss(
          key,
          known.filter(other => !(other in Object(value))),
        ) ?? `known here: ${known.join(', ')}`,
    }))
  }
  if (issue.code === 'invalid_key') {
    const hint = 'a name has lower-case letters, digits and hyphens and begins with a letter'
    return [{ path, message: `"${String(path.at(-1))}" is no name`, hint }, ...inside(schema, root, whole, path)]
  }
  if (value === undefined) return told('is missing', missingHint(issue, path))
  switch (issue.code) {
    case 'invalid_type':
      return told(`found ${shown}, expected ${expected[issue.expected] ?? issue.expected}`, typeHint(issue.expected, value))
    case 'invalid_value':
      return told(
        `${shown} is not one of ${issue.values.join(', ')}`,
        nearWord(value, issue.values) ?? `write ${issue.values.map(show).join(' or ')}`,
      )
    case 'invalid_union': {
      const options = 'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : []
      if (options.length)
        return told(`${shown} is not one of ${options.join(', ')}`, nearWord(value, options) ?? `write ${options.join(' or ')}`)
      const branch = schema instanceof z.ZodUnion && typeof value === 'object' ? branchOf(schema, value) : undefined
      const deeper = inside(branch, root, whole, path)
      return deeper.length ? deeper : told(`${shown} is not understood`, unionHint(issue.errors))
    }
    case 'too_small':
      return told(tooSmall(issue, shown), moreHint(issue))
    case 'too_big':
      return told(
        issue.origin === 'array'
          ? `has ${(value as unknown[]).length} entries, at most ${issue.maximum} can be used`
          : `${shown} is more than ${issue.maximum}`,
        issue.origin === 'array' ? `keep ${issue.maximum}` : `write ${issue.maximum} or less`,
      )
    case 'invalid_format':
      return told(
        `${shown} ${issue.message.startsWith('is ') ? issue.message : 'is not of the right form'}`,
        `the form is ${issue.pattern ?? issue.format}`,
      )
    default:
      return told(`${shown}: ${issue.message}`, 'compare docs/config.md')
  }
}

const expected: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys with values',
  record: 'names with entries',
}

function typeHint(kind: string, value: unknown): string {
  if (kind === 'array' && (typeof value === 'string' || typeof value === 'number')) return `write a list: [${value}]`
  if (kind === 'string') return `put it into quotes if it is meant as text`
  if (kind === 'number' || kind === 'int') return 'write a number, without quotes'
  if (kind === 'boolean') return 'write true or false, without quotes'
  return `write ${expected[kind] ?? kind}`
}

function missingHint(issue: Issue, path: Path): string {
  const key = String(path.at(-1))
  if (issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options))
    return `write ${key}: ${issue.options.map(String).join(' or ')}`
  if (issue.code === 'invalid_type' && issue.expected === 'array') return `write ${key}: [ … ], with at least one entry`
  return `write ${key}: …`
}

/** Which forms a value may take, from the branches of the union that it does not fit. */
function unionHint(branches: readonly (readonly Issue[])[]): string {
  const forms = branches.map(issues => {
    const [first] = issues
    return first?.code === 'invalid_type' && first.path.length === 0 ? (expected[first.expected] ?? first.expected) : 'keys with values'
  })
  return `write ${[...new Set(forms)].join(', or ')}`
}

function tooSmall(issue: z.core.$ZodIssueTooSmall, shown: string): string {
  if (issue.origin === 'array') return 'is empty'
  if (issue.origin === 'string') return 'is an empty text'
  return `${shown} is less than ${issue.minimum}`
}

function moreHint({ origin, minimum }: z.core.$ZodIssueTooSmall): string {
  if (origin === 'array') return 'name at least one'
  return origin === 'string' ? 'write something, or leave the key out' : `write ${minimum} or more`
}

const kindOf = (value: unknown) =>
  Array.isArray(value) ? 'list' : typeof value === 'object' ? 'mapping' : typeof value === 'string' ? 'text' : typeof value

const show = (value: unknown): string => {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'keys with values'
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 80 ? `${text.slice(0, 77)}…"` : text
}

/** What a thing is called elsewhere, by what it is called here. */
const otherNames: Record<string, string[]> = { pg: ['postgres', 'postgresql', 'psql'], redis: ['valkey', 'elasticache'] }

function nearWord(value: unknown, known: readonly unknown[]): string | undefined {
  if (typeof value !== 'string') return undefined
  const words = known.map(String)
  const meant = words.find(word => otherNames[word]?.includes(value.toLowerCase()))
  return meant ? `did you mean "${meant}"?` : nearMiss(value, words)
}
