// What is wrong with a configuration, in the one shape in which it is thrown, printed and sent: file, line, path, what was found, the mend.
import { Problem } from '@dbops/contract/failure'

/** A step into the file: the key of a mapping or the index of a list. */
export type Path = readonly (string | number)[]

/** Something wrong at a place of the configuration; `message` never holds the value of a secret. */
export interface Found {
  path: Path
  message: string
  hint: string
}

export interface ConfigError {
  file: string
  /** From 1. */
  line: number
  /** `schedules.vacuum.cron`, `alerts.routes[2].to[0]`; empty for the file as a whole. */
  path: string
  message: string
  hint: string
}

/** `['alerts', 'routes', 2, 'to']` → `alerts.routes[2].to`. */
export const formatPath = (path: Path): string =>
  path
    .map(step => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    .join('')
    .replace(/^\./, '')

/** `config/axiom.yaml:12 schedules.vacuum.cron: cron has 4 fields`, without the hint. */
export const formatConfigError = ({ file, line, path, message }: ConfigError): string =>
  `${file}:${line}${path ? ` ${path}` : ''}: ${message}`

/** A configuration that cannot be used. `errors` are all that were found, in the order of the file; the message tells the first. */
export class ConfigProblem extends Problem {
  readonly errors: readonly ConfigError[]
  constructor(errors: readonly [ConfigError, ...ConfigError[]]) {
    const [first, ...others] = errors
    const more = others.length ? ` (and ${others.length} more)` : ''
    super(formatConfigError(first) + more, { code: 'config', hint: first.hint })
    this.errors = errors
  }
}
