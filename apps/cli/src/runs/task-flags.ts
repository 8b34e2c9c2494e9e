// The flags of `run TASK`, from the JSON Schema of its parameters; and the parameters, from the flags that were given.
import { type JsonSchema, paramsOf, refOf, type TaskEntry } from '@dbops/catalog/catalog'
import { formatPath } from '@dbops/runtime/config-problem'
import { inWords } from '@dbops/runtime/config-words'
import type { Command, OptionDeclaration } from '../command.ts'
import { Failed } from '../fail.ts'

/** Those of `run` itself: a parameter of such a name gets `--param-` in front. */
export const ownFlags = ['target', 'dry-run', 'wait', 'timeout', 'key', 'json', 'config', 'debug', 'yes', 'as', 'help']

type Kind = 'text' | 'number' | 'boolean' | 'list' | 'json'

interface Flag {
  param: string
  /** Without dashes: `lock-timeout`. */
  word: string
  kind: Kind
  schema: JsonSchema
  required: boolean
}

const flagsOf = (task: TaskEntry): Flag[] =>
  Object.entries(task.params.properties ?? {}).map(([param, schema]) => {
    const kebab = param.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
    const word = ownFlags.includes(kebab) ? `param-${kebab}` : kebab
    return { param, word, kind: kindOf(schema), schema, required: task.params.required?.includes(param) ?? false }
  })

function kindOf(schema: JsonSchema): Kind {
  const types = [schema['type'], ...((schema['anyOf'] as JsonSchema[] | undefined) ?? []).map(one => one['type'])].flat()
  if (types.includes('array')) return isPlain(schema['items'] as JsonSchema | undefined) ? 'list' : 'json'
  if (types.includes('object')) return 'json'
  if (types.includes('boolean')) return 'boolean'
  return types.includes('integer') || types.includes('number') ? 'number' : 'text'
}
const isPlain = (items: JsonSchema | undefined) => !['array', 'object'].includes(String(items?.['type']))

/** As declared to the command line, in the order of the schema. */
export function optionsOf(task: TaskEntry): NonNullable<Command['options']> {
  return Object.fromEntries(
    flagsOf(task).flatMap((flag): [string, string | OptionDeclaration][] => {
      const { word, kind } = flag
      const about = [flag.schema['description'], said(task, flag)].filter(Boolean).join(' ')
      if (kind === 'boolean')
        return [
          [`--${word}`, about],
          [`--no-${word}`, 'leave that out'],
        ]
      const option: OptionDeclaration = kind === 'list' ? { about, repeat: true } : { about }
      return [[`--${word} <${placeholder(flag)}>`, option]]
    }),
  )
}

/** `(required; again or comma-separated)`. */
function said(task: TaskEntry, { param, kind, schema, required }: Flag): string {
  const words = (schema['enum'] ?? (schema['items'] as JsonSchema | undefined)?.['enum']) as unknown[] | undefined
  const section = refOf(task, param)
  const facts = [
    required && schema['default'] === undefined && 'required',
    section && `a name from ${section} of the configuration`,
    words && `one of ${words.join(', ')}`,
    kind === 'list' && 'again or comma-separated',
    kind === 'json' && 'as JSON',
    schema['default'] !== undefined && `default ${textOf(schema['default'])}`,
  ].filter(Boolean)
  return facts.length ? `(${facts.join('; ')})` : ''
}
const textOf = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

const placeholder = ({ param, kind, word }: Flag): string => {
  if (kind === 'list') return word.replace(/s$/, '')
  if (kind === 'text') return /^[a-z]+$/.test(param) ? word : 'text'
  return kind
}

/** What to type, with values that the declaration gives as examples. */
export function exampleOf(task: TaskEntry): string {
  const flags = flagsOf(task)
    .filter(({ required, schema }) => required && schema['default'] === undefined)
    .map(({ word, kind, schema }) => {
      const items = kind === 'list' ? (schema['items'] as JsonSchema) : schema
      const value = (items['examples'] as unknown[] | undefined)?.[0] ?? (items['enum'] as unknown[] | undefined)?.[0] ?? word.toUpperCase()
      return ` --${word} ${textOf(value)}`
    })
  return `./dbops run ${task.name}${flags.join('')}`
}

/** The parameters that the flags say, checked against the schema. Fails with exit 2, in the words of the flags. */
export function paramsFrom(task: TaskEntry, options: Record<string, unknown>): Record<string, unknown> {
  const flags = flagsOf(task)
  const params = Object.fromEntries(
    flags.flatMap(flag => {
      const given = options[flag.word.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())]
      return given === undefined ? [] : [[flag.param, valueOf(flag, given)]]
    }),
  )
  const schema = paramsOf(task)
  const parsed = schema.safeParse(params)
  const [first] = parsed.success ? [] : inWords(parsed.error.issues, schema, params)
  if (!first) return params
  const [param, ...rest] = first.path
  const flag = flags.find(one => one.param === param)
  const where = flag ? `--${flag.word}${formatPath(rest)}` : formatPath(first.path)
  // The hint of a missing one would speak of YAML.
  const hint = first.message === 'is missing' ? `for example: ${exampleOf(task)}` : first.hint
  throw new Failed('wrong', `${where}${rest.length ? ':' : ''} ${first.message}`, { code: 'bad_params', hint })
}

function valueOf({ kind, word, schema }: Flag, given: unknown): unknown {
  if (kind === 'list')
    return (given as string[]).flatMap(splitList).map(text => (isNumeric(schema['items'] as JsonSchema) ? numberOf(text) : text))
  if (kind === 'number') return numberOf(given as string)
  if (kind !== 'json') return given
  try {
    return JSON.parse(given as string) as unknown
  } catch (error) {
    throw new Failed('wrong', `--${word} is no JSON: ${(error as Error).message}`, { code: 'bad_params', hint: `--${word} '{"…": …}'` })
  }
}

const isNumeric = (schema: JsonSchema | undefined) => ['integer', 'number'].includes(String(schema?.['type']))
/** Text that is no number stays text: the schema then says what is expected. */
const numberOf = (text: string) => (text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text)

/** At the commas that stand outside of double quotes: `a,"b,c"` is two. */
const splitList = (text: string): string[] => text.match(/(?:"(?:[^"]|"")*"|[^,])+/g)?.map(one => one.trim()) ?? [text]
