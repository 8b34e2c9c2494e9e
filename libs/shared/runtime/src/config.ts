// Reads the configuration file: everything that is wrong with it, each with file, line, path and the mend; or a value that can be relied on.

import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { catalog as builtIn, type Catalog } from '@dbops/catalog/catalog'
import { type ConfigFile, configFile } from '@dbops/contract/config-file'
import { readLines } from './config-lines.ts'
import { type ConfigError, ConfigProblem, type Found, formatPath } from './config-problem.ts'
import { checkReferences } from './config-references.ts'
import { type Environment, fillIn } from './config-variables.ts'
import { inWords } from './config-words.ts'

export interface Config extends ConfigFile {
  /** As it was given; `(defaults)` when there is none. */
  file: string
  /** Over the content (defaults filled in, secrets as templates, order of keys and comments left out): 64 hex digits. */
  hash: string
  /** The line of a path such as `schedules.vacuum.cron`, from 1. */
  lineOf: (path: string) => number
}

export interface ReadOptions {
  /** Read in place of the file. */
  text?: string
  env?: Environment
  catalog?: Catalog
}

/** The configuration of a file; all defaults where there is no file. Throws a ConfigProblem with all that is wrong. */
export function readConfig(file: string | undefined, options: ReadOptions = {}): Config {
  const checked = checkConfig(file, options)
  if (checked.config) return checked.config
  throw new ConfigProblem(checked.errors as [ConfigError, ...ConfigError[]])
}

export interface Checked {
  ok: boolean
  errors: ConfigError[]
  config?: Config
  /** What the file says, before variables and defaults are filled in. There where the configuration is. */
  written?: unknown
}

/** As `readConfig`, with the errors as a value. */
export function checkConfig(file: string | undefined, options: ReadOptions = {}): Checked {
  const { env = process.env, catalog = builtIn } = options
  const label = file ?? '(defaults)'
  const bad = (found: (Found & { line: number })[]) => ({
    ok: false,
    errors: found
      .map(({ line, path, message, hint }) => ({ file: label, line, path: formatPath(path), message, hint }))
      .sort((a, b) => a.line - b.line),
  })

  const source = textOf(file, options.text)
  if (typeof source !== 'string') return bad([source])
  const { value, lineOf, errors } = readLines(source)
  if (errors.length) return bad(errors)

  const filled = fillIn(value, configFile, env)
  const parsed = configFile.safeParse(filled.value)
  const found = [
    ...filled.found,
    ...(parsed.success ? [] : inWords(parsed.error.issues, configFile, filled.value)),
    ...checkReferences(filled.value as Record<string, unknown>, catalog),
  ]
  if (found.length || !parsed.success) return bad(withoutEchoes(found).map(fault => ({ ...fault, line: lineOf(formatPath(fault.path)) })))
  return { ok: true, errors: [], config: { ...parsed.data, file: label, hash: hashOf(parsed.data), lineOf }, written: value }
}

/** One error per slip: what is wrong with a value in itself makes idle what follows from it, and a misspelt key is not missing too. */
function withoutEchoes(found: readonly Found[]): Found[] {
  const seen = new Set<string>()
  const meant = new Set(found.map(({ path, hint }) => formatPath([...path.slice(0, -1), /^did you mean "(.*)"\?$/.exec(hint)?.[1] ?? ''])))
  return found.filter(({ path, message }) => {
    const key = formatPath(path)
    if (seen.has(key) || (message === 'is missing' && meant.has(key))) return false
    return seen.add(key)
  })
}

/** No plan needs more; refused before it is parsed. */
const largest = 1024 * 1024

/** The text of the file, or what is wrong with its bytes. Reads no more than the limit, so that a device or a pipe cannot fill the memory. */
function textOf(file: string | undefined, given: string | undefined): string | (Found & { line: number }) {
  const fault = (line: number, message: string, hint: string) => ({ line, path: [], message, hint })
  try {
    const bytes = given !== undefined ? Buffer.from(given) : file === undefined ? Buffer.alloc(0) : readAtMost(file, largest + 1)
    if (bytes.length > largest)
      return fault(1, 'the file is larger than 1 MiB', 'is this the right file? A configuration has some hundred lines')
    const line = brokenLine(bytes)
    if (line) return fault(line, 'the bytes here are no UTF-8', 'save the file as UTF-8')
    return new TextDecoder().decode(bytes)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    if (code === 'ENOENT') return fault(1, 'the file does not exist', 'name another with --config FILE')
    if (code === 'EISDIR') return fault(1, 'this is a folder', 'name the file in it')
    return fault(1, `the file cannot be read (${code})`, 'look at its permissions')
  }
}

function readAtMost(file: string, limit: number): Buffer {
  const descriptor = openSync(file, 'r')
  try {
    const buffer = Buffer.alloc(limit)
    let length = 0
    for (let read = -1; read !== 0 && length < limit; length += read) read = readSync(descriptor, buffer, length, limit - length, null)
    return buffer.subarray(0, length)
  } finally {
    closeSync(descriptor)
  }
}

/** The first line that is no UTF-8, from 1; 0 when all are. No character of UTF-8 but the line end itself holds its byte. */
function brokenLine(bytes: Buffer): number {
  if (isUtf8(bytes)) return 0
  let line = 1
  for (let start = 0; ; line++) {
    const end = bytes.indexOf(10, start)
    if (end < 0 || !isUtf8(bytes.subarray(start, end))) return line
    start = end + 1
  }
}

const hashOf = (config: ConfigFile): string =>
  createHash('sha256')
    .update(JSON.stringify(sorted(config)))
    .digest('hex')

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, sorted(inner)]),
  )
}
