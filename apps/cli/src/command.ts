// What a command is: a file in commands/ whose default export says its words, its options and its examples, and what it does.
import type { Connection } from './connect.ts'
import type { Print } from './print.ts'

export interface OptionDeclaration {
  about: string
  choices?: readonly string[]
  default?: string | boolean
  /** Turns the text into a value; throws a RangeError that says what is wrong with it. */
  parse?: (text: string) => unknown
  /** May be given several times; the value is then a list. */
  repeat?: boolean
}

export interface Command {
  /** The words it is called by: `runs show`. Its file is named after them: commands/runs-show.ts. */
  path: string
  summary: string
  /** By their form, in order: `{ '<id>': 'the last 8 characters will do' }`; `[files...]` takes many, and then comes as a list. */
  arguments?: Record<string, string>
  /** The command that lists what its first argument names: `./dbops runs`. Said where that argument is missing. */
  listedBy?: string
  /** By their form: `{ '--since <time>': 'only what is newer' }`. */
  options?: Record<string, string | OptionDeclaration>
  /** What to type and what it does. */
  examples: [[command: string, does: string], ...[command: string, does: string][]]
  /** Unknown options are handed over among the arguments. */
  passesOn?: boolean
  /** Its own commands that only the moment knows, such as one for each task. */
  children?: () => Promise<Command[]>
  /** Returns its exit code; 0 when it returns nothing. */
  run(c: Context): Promise<number | void>
}

/** Those of every command. */
export const commonOptions = {
  '--json': 'NDJSON for scripts',
  '--config <file>': 'the configuration',
  '--debug': 'the stack of an error',
  '--yes': 'answers questions in advance',
  '--as <person>': 'whose login of the ledger is used',
}

export interface CommonOptions {
  json?: boolean
  config?: string
  debug?: boolean
  yes?: boolean
  as?: string
}

/** What a command works with. */
export interface Context {
  args: (string | string[] | undefined)[]
  /** By their camel-case names, the common ones among them. */
  options: CommonOptions & Record<string, unknown>
  print: Print
  /** Opens the ledger; closed when the command has ended. Fails with exit 3 and a hint. */
  connect(): Promise<Connection>
  /** Asks before something is written or deleted in `prod` (or where nobody knows the environment). Returns when it may go on. */
  confirm(environment: string | undefined, what: string): Promise<void>
}

/** Gives a declaration its type, and nothing else. Heavy imports belong inside `run`: `--help` reads every command's file. */
export const defineCommand = (command: Command): Command => command
