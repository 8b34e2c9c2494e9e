// Runs a client program of PostgreSQL: in a process group of its own, its output streamed, its last words kept, nothing of it left behind.
import { execFile, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Problem, Refused } from '@dbops/contract/failure'
import { redact } from '@dbops/runtime/redact'
import type { ClientProgram, Tool, ToolEnd, ToolOptions } from './task.ts'
import { withoutRows } from './without-rows.ts'

export interface RunningTool extends Tool {
  /** Ends the whole process group: politely, so that the program can cancel on the server, then by force. Resolves when it is gone. */
  kill(): Promise<void>
}

const lastWords = 8 * 1024

export function startTool(path: string, args: string[], env: NodeJS.ProcessEnv, { signal, stdin }: ToolOptions = {}): RunningTool {
  signal?.throwIfAborted()
  const child = spawn(path, args, { env, detached: true, stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'] })
  const program = path.slice(path.lastIndexOf('/') + 1)
  // Taken from the pipe at once and held for the reader: what nobody reads yet when the program ends, Node throws away without a word.
  const stdout = new PassThrough()
  void pipeline(child.stdout!, stdout).catch(() => undefined)
  let stderr = ''
  let isCut = false
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    isCut ||= stderr.length > lastWords
    stderr = stderr.slice(-lastWords)
  })
  // 'exit' is the process, 'close' its pipes too: the last words come after the exit.
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()).once('error', () => resolve()))
  const done = new Promise<ToolEnd>(resolve => {
    child.once('close', (code, killed) => resolve({ code, signal: killed, stderr: redact(withoutRows(stderr.trim(), isCut)) }))
    child.once('error', error => resolve({ code: null, signal: null, stderr: error.message }))
  })
  // A reader that has seen enough closes its end, as `pg_restore --list` does after the table of contents: no error of ours.
  if (stdin) void pipeline(Readable.from(stdin), child.stdin!).catch(() => undefined)

  const kill = async () => {
    for (const word of ['SIGTERM', 'SIGKILL'] as const) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
      try {
        process.kill(-child.pid, word)
      } catch {
        // It has ended in the meantime.
      }
      await Promise.race([exited, sleep(3_000, undefined, { ref: false })])
    }
  }
  const onAbort = () => void kill()
  signal?.addEventListener('abort', onAbort, { once: true })
  void done.then(() => signal?.removeEventListener('abort', onAbort))

  async function* output() {
    yield* stdout as AsyncIterable<Uint8Array>
    const end = await done
    signal?.throwIfAborted()
    if (end.code !== 0) throw toolFailed(program, end)
  }
  return { pid: child.pid ?? 0, stdout: output(), done, kill }
}

/** How a program failed, in its own last words. */
export function toolFailed(program: string, { code, signal, stderr }: ToolEnd): Problem {
  const how = signal ? `was killed by ${signal}` : code === null ? 'could not be started' : `ended with code ${code}`
  const words = stderr
    .split('\n')
    .map(line => line.trim())
    .filter(Boolean)
    .slice(-10)
    .join(' · ')
  return new Problem(`${program} ${how}${words ? `: ${words}` : ''}`, { code: 'tool_failed', hint: hintFor(stderr, signal) })
}

function hintFor(stderr: string, signal: NodeJS.Signals | null): string | undefined {
  if (signal === 'SIGKILL') return 'somebody killed it, or the machine ran out of memory: look at the log of its kernel'
  if (/permission denied/.test(stderr)) return 'a privilege was taken away: GRANT pg_read_all_data to the role of this target'
  if (/canceling statement due to (statement|lock) timeout[\s\S]*LOCK TABLE/.test(stderr))
    return 'another session holds a table exclusively (a migration?): see pg_blocking_pids, or let the retry come'
  if (/server closed the connection|terminating connection|could not receive data/.test(stderr))
    return 'the server was stopped, or crashed, or somebody ended the session: its log says which'
  return undefined
}

/** Debian keeps the programs of every major version apart; the server's own version reads its dumps back without a newer one. */
function findTool(program: ClientProgram, serverMajor: number): string {
  const folders = [`/usr/lib/postgresql/${serverMajor}/bin`, ...(process.env.PATH ?? '').split(delimiter)]
  const path = folders.map(folder => join(folder, program)).find(isProgram)
  if (path) return path
  throw new Refused(`${program} is not installed beside this maintainer`, {
    code: 'tool_missing',
    hint: `apt-get install postgresql-client-${serverMajor}`,
  })
}

const run = promisify(execFile)

/** `{ path, version: '15.18' }`. Refused: `tool_missing`, or `tool_too_old` when its major version is below the server's. */
export async function toolFor(
  program: ClientProgram,
  server: { major: number; version: string },
): Promise<{ path: string; version: string }> {
  const path = findTool(program, server.major)
  // Bounded: a program that hangs here (a dead network mount) would hang the attempt past its cancellation.
  const { stdout } = await run(path, ['--version'], { timeout: 10_000, killSignal: 'SIGKILL' })
  const version = /(\d+(\.\d+)?\S*)/.exec(stdout)?.[1] ?? 'unknown'
  refuseOlder(program, version, server)
  return { path, version }
}

/** A program reads servers of its own major version and older ones, never a newer one. */
export function refuseOlder(program: string, version: string, server: { major: number; version: string }): void {
  if (Number.parseInt(version) >= server.major) return
  throw new Refused(`${program} is version ${version} and the server is ${server.version}: it cannot read a newer server`, {
    code: 'tool_too_old',
    hint: `apt-get install postgresql-client-${server.major}`,
  })
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
