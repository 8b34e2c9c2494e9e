// How a command ends badly: one line and a hint on stderr, with --json one object there, and the exit code that says of what kind it was. The stack is for --debug.
import { failureOf, Problem, Refused, type Told } from '@dbops/contract/failure'
import { type Exit, exits } from './exits.ts'

/** Of errors that have none of their own. */
const codes: Record<Exit, string> = {
  done: 'done',
  failed: 'failed',
  wrong: 'wrong_use',
  unreachable: 'unreachable',
  refused: 'refused',
  timedOut: 'timed_out',
}

/** Thrown by a command that knows its exit. */
export class Failed extends Problem {
  readonly exit: Exit
  constructor(exit: Exit, message: string, told: Told = {}) {
    super(message, { ...told, code: told.code ?? codes[exit] })
    this.exit = exit
  }
}

/** Writes the error to stderr; returns the exit code. */
export async function fail(error: unknown, { debug = false, json = false } = {}): Promise<number> {
  const { redact, redactAll } = await import('@dbops/runtime/redact')
  const say = (line: string) => process.stderr.write(`${redact(line)}\n`)
  if (json) {
    process.stderr.write(`${JSON.stringify(redactAll({ error: record(error, debug) }))}\n`)
    return exits[exitOf(error)]
  }
  for (const { message, hint } of told(error)) {
    say(`dbops: ${message}`)
    if (hint) say(`hint: ${hint}`)
  }
  if (debug && error instanceof Error) say(error.stack ?? '')
  return exits[exitOf(error)]
}

/** For scripts; a wrong configuration has all its faults in `errors`. The keys are a contract: they may become more. */
function record(error: unknown, debug: boolean) {
  const { code, message } = failureOf(error)
  const [first] = told(error)
  return {
    code,
    message,
    hint: first?.hint ?? null,
    exitCode: exits[exitOf(error)],
    ...(error instanceof Problem && 'errors' in error ? { errors: error.errors } : {}),
    ...(debug && error instanceof Error ? { stack: error.stack } : {}),
  }
}

interface Line {
  message: string
  hint?: string | undefined
}

function told(error: unknown): Line[] {
  // A configuration is told whole: all that is wrong with it, each fault with its place and mend.
  if (error instanceof Problem && 'errors' in error)
    return (error.errors as { file: string; line: number; path: string; message: string; hint: string }[]).map(e => ({
      message: `${e.file}:${e.line}${e.path ? ` ${e.path}` : ''}: ${e.message}`,
      hint: e.hint,
    }))
  const { message, hint } = failureOf(error)
  if (error instanceof Problem) return [{ message, hint }]
  // ServerError of libs/shared/servers carries a hint without being a Problem: that package imports nothing of ours.
  const given = (error as { hint?: string }).hint
  return [{ message, hint: given ?? (exitOf(error) === 'failed' ? 'again with --debug shows where this comes from' : undefined) }]
}

const wrongUse = ['config', 'missing_variable', 'missing_secret_file', 'bad_url', 'missing_url', 'ledger_newer', 'ledger_older']

function exitOf(error: unknown): Exit {
  if (error instanceof Failed) return error.exit
  if (error instanceof Refused) return 'refused'
  if (error instanceof Problem && wrongUse.includes(error.code)) return 'wrong'
  return isUnreachable(error) ? 'unreachable' : 'failed'
}

function isUnreachable(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isUnreachable)
  const { code = '', name } = error as { code?: string; name?: string }
  return name === 'ServerError' || /^(ECONN|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|08|57P0[123]|53300)/.test(code)
}
