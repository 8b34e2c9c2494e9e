// The services as child processes: each in a group of its own, ending with us however we end, started again when it ends by itself.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatDuration } from '@dbops/contract/duration'
import { nodeFlags } from '@dbops/runtime/node-flags'
import { type Child, startChild } from '@dbops/servers/child'
import { Failed } from '../fail.ts'
import { root } from '../home.ts'
import { type LogLine, serviceLog, worthSaying } from './service-log.ts'
import type { Teller } from './teller.ts'

export interface RunningService {
  app: string
  pid: number
  /** Of its page; undefined until it has one. */
  address?: string | undefined
}

export interface Services {
  /** Resolves when each has been ready once. */
  ready: Promise<void>
  /** Rejects when a service ends because its configuration is wrong: starting it again would change nothing. */
  wrong: Promise<never>
  list(): RunningService[]
  /** All at once, each with ten seconds to let go of what it does. */
  stop(): Promise<void>
  /** At once, with everything that they have started. */
  kill(): void
}

export interface Settings {
  apps: readonly string[]
  args(app: string): string[]
  env(app: string): NodeJS.ProcessEnv
  /** The folder of their logs. */
  logs: string
  teller: Teller
  /** Told when a service has another process or another address. */
  changed(): void
}

/** Milliseconds before a service that has ended is started again: doubled each time, forgotten when it lived for a minute. */
const pauses = { first: 500, longest: 30_000, livedFor: 60_000 }
/** A service ends itself after ten seconds at the latest (runtime/service.ts); whoever does not even do that is killed. */
const stopSteps: [NodeJS.Signals, number][] = [['SIGTERM', 10_500]]

export function startServices(settings: Settings): Services {
  mkdirSync(settings.logs, { recursive: true, mode: 0o700 })
  const all = settings.apps.map(app => keepRunning(app, settings))
  const ready = Promise.all(all.map(one => one.ready)).then(() => undefined)
  const wrong = Promise.race(all.map(one => one.wrong))
  // Whoever waits for one of them hears of it there; nobody may be waiting.
  for (const promise of [ready, wrong]) promise.catch(() => {})
  return {
    ready,
    wrong,
    list: () => all.map(one => one.running()),
    stop: async () => void (await Promise.all(all.map(one => one.stop()))),
    kill: () => all.forEach(one => one.kill()),
  }
}

interface Words {
  message: string
  hint?: string | undefined
}

function keepRunning(app: string, settings: Settings) {
  const { args, env, logs, teller } = settings
  const ready = Promise.withResolvers<void>()
  const wrong = Promise.withResolvers<never>()
  const stopping = new AbortController()
  let child: Child | undefined
  let address: string | undefined
  let hindered = false
  /** What it said that was fatal, since its start: the reasons why it ended. */
  let lastWords: Words[] = []

  const heard = (line: LogLine | string) => {
    if (typeof line === 'string') {
      // An error that nobody caught: its message is the first line that looks like one.
      if (!lastWords.length && /^\w*Error\b/.test(line)) lastWords.push({ message: line })
      return
    }
    if (line.event === 'service_started') {
      address = line.address
      settings.changed()
    }
    if (line.event === 'service_ready') {
      if (hindered) teller.say({ subject: app, text: 'ready again', tone: 'good' })
      hindered = false
      ready.resolve()
    }
    if (line.event === 'service_hindered') hindered = true
    const said = worthSaying(app, line)
    // Fatal words are told with the end that they explain. (A critical notification is fatal to nobody.)
    if (line.level === 'critical' && line.event !== 'notification') lastWords.push(line)
    else if (said) teller.say(said)
  }
  const output = serviceLog(join(logs, `${app}.log`), heard)

  async function live() {
    for (let pause = pauses.first; !stopping.signal.aborted; ) {
      const begun = performance.now()
      lastWords = []
      child = startChild([process.execPath, ...nodeFlags, join(root, 'apps', app, 'src/main.ts'), ...args(app)], {
        output,
        cwd: root,
        env: env(app),
        orphanSignal: 'TERM',
      })
      settings.changed()
      const end = await child.ended
      // Its last words may still be on their way through the pipe. (Not its end: what it had started may hold that.)
      await sleep(50)
      if (stopping.signal.aborted) return
      const [{ message, hint } = { message: 'without a word' } as Words, ...more] = lastWords
      if (end === 'exit code 2') {
        for (const other of more) teller.say({ subject: app, text: other.message, hint: other.hint, tone: 'bad' })
        return wrong.reject(new Failed('wrong', `${app}: ${message}`, { hint }))
      }
      if (performance.now() - begun > pauses.livedFor) pause = pauses.first
      const text = `ended (${end})${lastWords.length ? `: ${message}` : ''}; started again in ${formatDuration(pause)}`
      teller.say({ subject: app, text, hint: hint ?? `its log: ${join(logs, `${app}.log`)}`, tone: 'bad' })
      hindered = true
      await sleep(pause, undefined, { signal: stopping.signal }).catch(() => {})
      pause = Math.min(2 * pause, pauses.longest)
    }
  }
  void live()

  return {
    ready: ready.promise,
    wrong: wrong.promise,
    running: (): RunningService => ({ app, pid: child?.pid ?? 0, address }),
    async stop() {
      stopping.abort()
      await child?.stop(stopSteps)
    },
    kill() {
      stopping.abort()
      try {
        if (child?.pid) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has ended.
      }
    },
  }
}
