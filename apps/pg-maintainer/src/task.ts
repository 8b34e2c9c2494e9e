// What a PostgreSQL task and probe may touch: statements, second sessions and client programs, all of them named after the attempt and ended with it.
import { probeOf, taskOf } from '@dbops/contract/task'

export interface Notice {
  /** SQLSTATE: class 00 is information, 01 a warning. Severity words are translated by the server, codes are not. */
  code: string
  severity: string
  message: string
}

export interface Statements {
  /** One statement that answers with rows. bigint and numeric come as text: cast to float8 where a number is wanted. */
  query<Row extends object>(sql: string, values?: unknown[]): Promise<Row[]>
  /** One statement, in its own transaction; resolves with what the server remarked. A string of several statements is refused by the server. */
  execute(sql: string): Promise<Notice[]>
}

export type ClientProgram = 'pg_dump' | 'pg_dumpall' | 'pg_restore' | 'psql' | 'pg_amcheck'

export interface Tool {
  readonly pid: number
  /** What the program writes, with backpressure. Throws at its end when the program failed, so that half an output is never taken for a whole one. */
  readonly stdout: AsyncIterable<Uint8Array>
  /** Resolves when the program has ended, however it did; `stderr` is the end of it, without secrets. */
  readonly done: Promise<ToolEnd>
}
export interface ToolEnd {
  code: number | null
  signal: NodeJS.Signals | null
  stderr: string
}
export interface ToolOptions {
  signal?: AbortSignal
  stdin?: AsyncIterable<Uint8Array>
}

/** Ends with its block: `await using holder = await c.pg.session()`. */
export interface SecondSession extends Statements, AsyncDisposable {}

export interface Postgres extends Statements {
  /** Of every session of this attempt: `dbops:<installation>:<fence>:<task>`. */
  readonly name: string
  readonly database: string
  /** As the server says it, `15.18 (Debian …)`, and its first number. */
  readonly version: string
  readonly major: number
  readonly systemIdentifier: string
  /** Starts a client program in a process group of its own, connected by its environment. Refused when it is missing or older than the server. */
  tool(program: ClientProgram, args: string[], options?: ToolOptions): Promise<Tool>
  /** The version of the program that `tool` would start. Refused like there. */
  toolVersion(program: ClientProgram): Promise<string>
  /** A second direct session of this attempt, with `settings` over the usual ones. */
  session(settings?: Record<string, string>): Promise<SecondSession>
}

export interface PostgresVerbs {
  pg: Postgres
}

export const defineTask = taskOf<PostgresVerbs>()
export const defineProbe = probeOf<PostgresVerbs>()
