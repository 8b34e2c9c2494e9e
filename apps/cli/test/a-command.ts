// The command line as a user has it: a process with its output, and the processes that belong to a home.
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@dbops/testing/until'

export const main = join(import.meta.dirname, '../src/main.ts')

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export interface Going {
  process: ChildProcess
  pid: number
  stdout(): string
  stderr(): string
  ended: Promise<Ended>
  /** Waits until standard output matches; fails when the process ends before. */
  says(pattern: RegExp, within?: number): Promise<RegExpExecArray>
}

interface Options {
  env?: Record<string, string>
  cwd?: string
}

/** Without a terminal, and without the caller's own ledger and home. */
export function start(argv: string[], { env = {}, cwd }: Options = {}): Going {
  const { DBOPS_HOME: _home, DBOPS_LEDGER_URL: _ledger, DBOPS_REDIS_URL: _redis, ...clean } = process.env
  const child = spawn(process.execPath, [main, ...argv], { cwd, env: { ...clean, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  let isOver = false
  const ended = new Promise<Ended>(resolve =>
    child.once('close', code => {
      isOver = true
      resolve({ code, stdout, stderr })
    }),
  )
  return {
    process: child,
    pid: child.pid!,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    async says(pattern, within = 60_000) {
      await until(`"${pattern}" is said`, () => isOver || pattern.test(stdout), { within })
      const match = pattern.exec(stdout)
      if (!match) throw new Error(`ended without saying ${pattern}:\n${stdout}\n${stderr}`)
      return match
    },
  }
}

export const dbops = (argv: string[], options?: Options): Promise<Ended> => start(argv, options).ended

/** A command of the shell on a terminal of 100 columns and 30 lines, by `script` of util-linux. */
export function onTerminal(command: string, more: Record<string, string>) {
  const { DBOPS_HOME: _home, DBOPS_LEDGER_URL: _ledger, DBOPS_REDIS_URL: _redis, ...clean } = process.env
  const env = { ...clean, ...more, TERM: 'xterm-256color', SHELL: '/bin/sh' }
  // The shell has Ctrl-C too, and dash would end by it: 130, whatever the command says.
  const child = spawn('script', ['-qefc', `stty cols 100 rows 30; trap : INT; ${command}`, '/dev/null'], {
    env,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  return {
    text: () => text,
    /** Ctrl-C, as the terminal has it. */
    interrupt: () => child.stdin.write('\x03'),
    ended: new Promise<number | null>(resolve => child.once('close', code => resolve(code))),
  }
}

/** A folder that PostgreSQL's own user can pass through, as the tests may run as root. */
export function temporaryHome(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cli-test-'))
  chmodSync(folder, 0o755)
  return join(folder, 'home')
}

/** All that runs for a home: whoever has it in the environment or on the command line. */
export const processesOf = (home: string): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter(pid => ['environ', 'cmdline'].some(file => read(`/proc/${pid}/${file}`).includes(home)))
    .map(Number)

/** Those that are still there two seconds later; the watchdogs of what was stopped take a moment to see it. */
export async function leftOf(home: string, within = 2_000): Promise<number[]> {
  await until('nothing is left', () => processesOf(home).length === 0, { within }).catch(() => {})
  return processesOf(home)
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // It has ended, or is not ours.
    return ''
  }
}
