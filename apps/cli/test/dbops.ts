// The command line as a child process, on a line that a test has started.
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import type { Line } from '@dbops/testing/line'

export const main = resolve(import.meta.dirname, '../src/main.ts')

export interface Said {
  code: number | null
  out: string
  err: string
  /** The objects of --json. */
  records: Record<string, unknown>[]
}

/** Where nothing is known: no ledger, no `up`. */
export const nowhere = { DBOPS_LEDGER_URL: '', DBOPS_HOME: '/nonexistent/dbops' }

/** Runs it on the line's ledger, without the line's configuration unless `--config` stands in `args`. */
export const dbopsOf =
  (line: Pick<Line, 'ledgerUrl' | 'env'>) =>
  (...args: string[]): Promise<Said> =>
    dbops(args, { ...line.env, ...nowhere, DBOPS_LEDGER_URL: line.ledgerUrl })

export function dbops(args: string[], env: Record<string, string> = nowhere): Promise<Said> {
  const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { out: '', err: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.err += text))
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', code => done({ code, ...said, records: args.includes('--json') ? recordsIn(said.out) : [] }))
  })
}

const recordsIn = (text: string) =>
  text
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line) as Record<string, unknown>)

/** The keys of the first object, in order. */
export const keysOf = ({ records, err }: Said): string[] => {
  if (!records[0]) throw new Error(`it said nothing: ${err}`)
  return Object.keys(records[0])
}
