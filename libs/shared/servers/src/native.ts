// A server as a child process of ours: its folder, its claim, its port, its start and its end, the same for every engine.
import { chownSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { startChild } from './child.ts'
import { claimFolder } from './claim.ts'
import { freePort, isFree } from './free-port.ts'
import { lastLines } from './log-tail.ts'
import type { Started } from './resolve.ts'
import { ServerError } from './server-error.ts'
import { folderFor, placeOf, type User } from './unprivileged.ts'
import { untilReady, whenReady } from './when-ready.ts'

export interface NativeServer {
  what: string
  /** The folder to keep; without it a temporary one, removed on stop. */
  kept?: string
  /** Where the temporary folder shall be, claimed like a kept one, so that the next start finds what we could not remove. */
  scratch?: string
  /** Whom the folder and the process belong to, when not to us. */
  user?: User
  /** Without it a free one, and another when that was taken in the meantime. */
  port?: number
  /** Default: `<folder>.log`. */
  logFile?: string
  /** In turn, each with the milliseconds it may take; then SIGKILL. */
  stopWith: [['SIGINT' | 'SIGTERM', number], ...[NodeJS.Signals, number][]]
  /** Milliseconds to become ready, recovery after a crash included. */
  patience: number
  signal?: AbortSignal
  say: (line: string) => void
  /** Writes the configuration and names the command. */
  prepare: (folder: string, port: number) => Promise<{ argv: [string, ...string[]]; url: string; env?: NodeJS.ProcessEnv }>
  answers: (url: string) => Promise<void>
}

/** Errors: ServerError with the end of the log; then nothing is left running, and a temporary folder is removed. */
export async function startNative(server: NativeServer): Promise<Started> {
  const { what, kept, user, port, say } = server
  // Otherwise whoever listens there would be asked whether it is ready, and might say yes.
  if (port && !(await isFree(port)))
    throw new ServerError(`${what} cannot have port ${port}: it is in use`, `See who has it: ss -ltnp 'sport = :${port}'`)
  // Before the folder itself: there is no moment at which it would be there without a name on it.
  const scratchClaim = server.scratch === undefined ? undefined : await claimFolder(server.scratch, server.stopWith[0][0], say)
  const temporary = kept === undefined ? temporaryFolder(user, server.scratch) : undefined
  const tidy = () => {
    if (temporary) rmSync(temporary, { recursive: true, force: true, maxRetries: 5 })
    scratchClaim?.release()
  }
  try {
    const folder = folderFor(kept ?? join(temporary as string, 'data'), user)
    if (kept && folder !== resolve(kept)) say(`${what} keeps its data in ${folder}: user ${user?.name} cannot reach ${kept}`)
    const claim = kept ? await claimFolder(folder, server.stopWith[0][0], say) : scratchClaim
    try {
      const { stop, ...started } = await onSomePort(server, folder, temporary, pid => claim?.serves(pid))
      return {
        ...started,
        stop: async () => {
          await stop()
          claim?.release()
          tidy()
        },
      }
    } catch (error) {
      claim?.release()
      throw error
    }
  } catch (error) {
    tidy()
    throw error
  }
}

function temporaryFolder(user: User | undefined, wanted: string | undefined): string {
  const start = wanted ?? placeOf(join(tmpdir(), 'dbops-'), user)
  mkdirSync(dirname(start), { recursive: true, mode: 0o711 })
  if (wanted) {
    // The claim is ours: whoever left this is dead.
    rmSync(wanted, { recursive: true, force: true, maxRetries: 5 })
    mkdirSync(wanted, { mode: 0o700 })
  }
  const folder = wanted ?? mkdtempSync(start)
  if (user) chownSync(folder, user.uid, user.gid)
  return folder
}

async function onSomePort(
  server: NativeServer,
  folder: string,
  temporary: string | undefined,
  serves: (pid: number) => void,
): Promise<Started> {
  for (let attempts = 1; ; attempts++) {
    try {
      return await onPort(server.port ?? (await freePort()), server, folder, temporary, serves)
    } catch (error) {
      if (server.port || attempts === 3 || !/address already in use/i.test((error as Error).message)) throw error
    }
  }
}

async function onPort(
  port: number,
  server: NativeServer,
  folder: string,
  temporary: string | undefined,
  serves: (pid: number) => void,
): Promise<Started> {
  const { what, signal, logFile = `${folder}.log` } = server
  const { argv, url, env } = await server.prepare(folder, port)
  signal?.throwIfAborted()
  const orphanSignal = server.stopWith[0][0] === 'SIGINT' ? 'INT' : 'TERM'
  const child = startChild(argv, { logFile, cwd: folder, env, user: server.user, orphanSignal, orphanFolder: temporary })
  serves(child.pid)
  const waiting = { signal, within: server.patience, ended: child.ended, log: () => lastLines(logFile) }
  return untilReady({ url, pid: child.pid, ended: child.ended, stop: () => child.stop(server.stopWith) }, () =>
    whenReady(what, url, () => server.answers(url), waiting),
  )
}
