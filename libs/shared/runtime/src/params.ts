// Checks a task's parameters against the catalogue, and fetches the entries of the configuration that they name.
import { paramsOf, refOf, type TaskEntry } from '@dbops/catalog/catalog'
import type { ConfigFile } from '@dbops/contract/config-file'
import { nearMiss } from '@dbops/contract/names'
import { type Found, formatPath } from './config-problem.ts'
import { inWords } from './config-words.ts'

export interface ParamError {
  /** Below the parameters: `tables[0]`, `dump`. */
  path: string
  message: string
  hint: string
}

export interface Resolved {
  /** With defaults filled in. */
  params: Record<string, unknown>
  /** By parameter: the entry that it names. */
  entries: Record<string, unknown>
  /** The target that a named entry carries. */
  target: string | undefined
  errors: ParamError[]
}

/** Parameters as a task will get them. Never throws for what the user wrote: look at `errors` first. */
export function resolveParams(task: TaskEntry, params: Record<string, unknown>, config: ConfigFile): Resolved {
  const { found, ...resolved } = checkParams(task, params, config)
  return { ...resolved, errors: found.map(({ path, message, hint }) => ({ path: formatPath(path), message, hint })) }
}

/** As `resolveParams`, with paths as steps. */
export function checkParams(
  task: TaskEntry,
  params: Record<string, unknown>,
  config: ConfigFile,
): Omit<Resolved, 'errors'> & { found: Found[] } {
  const schema = paramsOf(task)
  const parsed = schema.safeParse(params)
  const found = parsed.success ? [] : inWords(parsed.error.issues, schema, params)
  const entries: Record<string, unknown> = {}
  for (const [param, value] of Object.entries(parsed.data ?? params)) {
    const section = refOf(task, param)
    if (!section || typeof value !== 'string') continue
    const known = (config as unknown as Record<string, Record<string, unknown> | undefined>)[section] ?? {}
    if (Object.hasOwn(known, value)) entries[param] = withWindow(known[value], config)
    else found.push({ path: [param], ...unknownName(value, section, Object.keys(known)) })
  }
  const target = Object.values(entries)
    .map(entry => (entry as { target?: unknown } | null)?.target)
    .find(name => typeof name === 'string')
  return { params: parsed.data ?? params, entries, target, found }
}

/** An entry that names a window is decided by it as it stands at the birth, in its zone. */
function withWindow(entry: unknown, { windows, zone }: ConfigFile): unknown {
  const { window: name } = entry as { window?: unknown }
  const window = typeof name === 'string' ? windows?.[name] : undefined
  return window ? { ...(entry as object), window: { name, ...window, zone: window.zone ?? zone } } : entry
}

/** What to say of a name that is in no entry of its section. */
export const unknownName = (name: string, section: string, known: readonly string[]): { message: string; hint: string } => ({
  message: `"${name}" is not in ${section}`,
  hint: nearMiss(name, known) ?? (known.length ? `${section} has ${known.join(', ')}` : `add it to the file: ${section}: { ${name}: … }`),
})

/**
 * The targets that a run of this task is for, from those that were asked for and the one that a named entry carries. `path` of an error is
 * `target`.
 */
export function resolveTargets(
  task: TaskEntry,
  asked: readonly string[],
  carried: string | undefined,
  config: ConfigFile,
): { targets: string[]; errors: ParamError[] } {
  const error = (message: string, hint: string) => ({ targets: [], errors: [{ path: 'target', message, hint }] })
  if (task.on === 'none')
    return asked.length ? error(`${task.name} works on no target`, 'leave the target out') : { targets: [], errors: [] }
  const contradiction = carried === undefined ? undefined : asked.find(name => name !== carried)
  if (contradiction !== undefined)
    return error(`"${contradiction}" contradicts "${carried}", the target of the named entry`, 'leave the target out')
  const targets = carried === undefined ? [...asked] : [carried]
  const fitting = Object.entries(config.targets).flatMap(([name, target]) => (target?.engine === task.engine ? [name] : []))
  if (!targets.length)
    return error(
      `${task.name} needs a target`,
      fitting.length ? `name one of ${fitting.join(', ')}` : `add a target with engine: ${task.engine}`,
    )
  const errors = targets.flatMap(name => {
    if (!Object.hasOwn(config.targets, name)) return [{ path: 'target', ...unknownName(name, 'targets', Object.keys(config.targets)) }]
    const engine = config.targets[name]?.engine
    if (engine === task.engine) return []
    const hint = fitting.length ? `name one of ${fitting.join(', ')}` : `add a target with engine: ${task.engine}`
    return [{ path: 'target', message: `${task.name} is for ${task.engine}, and "${name}" is ${engine}`, hint }]
  })
  return { targets, errors }
}
