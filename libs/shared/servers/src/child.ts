// Starts a server as a child process that cannot outlive us: when this process ends, even by SIGKILL, a small shell beside the server
// sees its pipe close, stops the server and removes its temporary folder.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'

export interface Child {
  pid: number
  /** Resolves when the process has ended, with how ("exit code 1", "SIGKILL"); never rejects. */
  ended: Promise<string>
  /** Sends each signal in turn and waits the given milliseconds for the end; the last resort is SIGKILL to the whole group. */
  stop: (steps: [signal: NodeJS.Signals, ms: number][]) => Promise<void>
}

export interface ChildOptions {
  /** Standard output and error are appended to this file … */
  logFile?: string
  /** … or handed over as they come. */
  output?: (text: string) => void
  cwd?: string
  env?: NodeJS.ProcessEnv
  user?: { uid: number; gid: number }
  /** What the watchdog sends when we are gone; SIGKILL follows after ten seconds. */
  orphanSignal: 'INT' | 'TERM'
  /** A temporary folder that the watchdog removes when we are gone. */
  orphanFolder?: string
}

// The server's shell becomes the server only after our word, which we give when the watchdog knows its pid. There is no moment, however
// short, at which our death would leave a server that nobody watches.
const gate = 'read -r _ && exec "$@" </dev/null'

// A line means that the server has ended and all is well; the end of the pipe means that we have ended.
// The server is nobody's child by then, and the first process of some machines is slow to bury it: a zombie counts as ended.
const watchdog = `read -r _ && exit
kill -s "$1" "$2"
runs() { kill -0 "$2" && ! grep -q '^State:.Z' "/proc/$2/status"; }
n=0; while [ $n -lt 100 ] && runs "$@"; do sleep 0.1; n=$((n+1)); done
kill -s KILL -- "-$2"
[ -z "$3" ] || rm -rf -- "$3"`

/** Both processes lead sessions of their own, so that Ctrl-C on a terminal reaches us alone and servers are stopped in order. */
export function startChild(argv: [string, ...string[]], options: ChildOptions): Child {
  const { output = () => {} } = options
  const log = options.logFile ? openSync(options.logFile, 'a', 0o600) : 'pipe'
  const server = spawn('/bin/sh', ['-c', gate, argv[0], ...argv], {
    cwd: options.cwd,
    env: options.env ?? process.env,
    ...options.user,
    detached: true,
    stdio: ['pipe', log, log],
  })
  if (typeof log === 'number') closeSync(log)
  for (const stream of [server.stdout, server.stderr]) {
    stream?.setEncoding('utf8').on('data', output)
    ;(stream as Socket | null)?.unref()
  }
  let end: string | undefined
  const ended = new Promise<string>(resolve => {
    const settle = (how: string) => {
      end ??= how
      resolve(end)
    }
    server.once('exit', (code, signal) => settle(signal ?? `exit code ${code}`))
    server.once('error', error => settle(error.message))
  })
  const pid = server.pid
  if (pid === undefined) return { pid: 0, ended, stop: async () => {} }

  const watch = spawn('/bin/sh', ['-c', watchdog, 'watchdog', options.orphanSignal, String(pid), options.orphanFolder ?? ''], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  // Neither may keep this process alive, and a pipe that breaks because its reader is gone is no error here.
  const [toServer, toWatch] = [server, watch].map(child => {
    child.unref()
    return (child.stdin as Socket).unref().on('error', () => {})
  }) as [Socket, Socket]
  void ended.then(() => toWatch.end('ended\n'))
  toServer.end('go\n')

  const kill = (signal: NodeJS.Signals, target: number) => {
    try {
      process.kill(target, signal)
    } catch {
      // It has ended in the meantime.
    }
  }
  const within = async (ms: number) => {
    let timer: NodeJS.Timeout | undefined
    await Promise.race([ended, new Promise(resolve => (timer = setTimeout(resolve, ms)))])
    clearTimeout(timer)
    return end !== undefined
  }
  return {
    pid,
    ended,
    async stop(steps) {
      for (const [signal, ms] of steps) {
        if (end !== undefined) return
        kill(signal, pid)
        if (await within(ms)) return
      }
      kill('SIGKILL', -pid)
      await within(5_000)
    },
  }
}
