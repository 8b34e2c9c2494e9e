// The whole line for a test: a ledger and a Redis of its own, and real processes of ours that can be killed, frozen and looked at from outside. None outlives the test run, however that ends.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { listServices } from '@dbops/ledger/services'
import { startChild } from '@dbops/servers/child'
import { startRedis } from '@dbops/servers/redis'
import { freshDatabase } from './database.ts'
import { sourceRoot } from './source-copy.ts'
import { until } from './until.ts'

export interface Process {
  pid: number
  /** What it printed, line by line; NDJSON of the log. */
  lines: string[]
  kill(signal: NodeJS.Signals): void
  /** SIGTERM, and its exit code. */
  stop(): Promise<number | null>
  /** Its exit code; null when a signal ended it. */
  ended: Promise<number | null>
  isRunning(): boolean
}

export interface Line {
  ledger: Ledger
  folder: string
  configFile: string
  redisUrl: string
  ledgerUrl: string
  env: Record<string, string>
  /** Starts a `main.ts` of ours (path from the root of the repository) and waits until it reports itself ready. */
  start(main: string, options?: { args?: string[]; env?: Record<string, string>; ready?: boolean }): Promise<Process>
  /** Names of the events in the outbox, oldest first, optionally of one run. */
  events(run?: string): Promise<string[]>
  close(): Promise<void>
}

/** `config` is the YAML of the configuration; `$FOLDER` in it becomes the test's folder. Timers are a tenth of the real ones unless it says otherwise. */
export async function startLine(config: string, env: Record<string, string> = {}): Promise<Line> {
  const folder = mkdtempSync(join(tmpdir(), 'dbops-line-'))
  const configFile = join(folder, 'axiom.yaml')
  const timers = config.includes('timers:') ? '' : 'timers: { heartbeat: 500ms, lease: 3s, reap: 500ms }\n'
  writeFileSync(configFile, `${timers}${config.replaceAll('$FOLDER', folder)}`)
  const database = await freshDatabase()
  const redis = await startRedis({ settings: { maxmemoryPolicy: 'noeviction', appendonly: true } })
  const ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  const processes: Process[] = []
  const all = { ...env, DBOPS_LEDGER_URL: database.url, DBOPS_REDIS_URL: redis.url, DBOPS_LOG_LEVEL: 'debug' }

  const start: Line['start'] = async (main, { args = [], env: more = {}, ready = true } = {}) => {
    const lines: string[] = []
    let rest = ''
    const child = startChild([process.execPath, join(sourceRoot, main), '--config', configFile, ...args], {
      env: { ...process.env, ...all, ...more },
      output: text => {
        const parts = (rest + text).split('\n')
        rest = parts.pop()!
        lines.push(...parts.filter(Boolean))
      },
      orphanSignal: 'TERM',
    })
    let running = true
    const ended = child.ended.then(how => {
      running = false
      const code = /^exit code (\d+)$/.exec(how)?.[1]
      return code === undefined ? null : Number(code)
    })
    const kill = (signal: NodeJS.Signals) => void (running && process.kill(-child.pid, signal))
    const started: Process = {
      pid: child.pid,
      lines,
      kill,
      ended,
      isRunning: () => running,
      stop: () => {
        kill('SIGTERM')
        return ended
      },
    }
    processes.push(started)
    if (ready)
      await until(
        `${main} reports itself ready; it said ${lines.slice(-5).join('\n')}`,
        async () => {
          if (!running) throw new Error(`it ended with ${await ended}: ${lines.slice(-5).join('\n')}`)
          return (await listServices(ledger, 60_000)).some(service => service.name.endsWith(`:${child.pid}`) && service.ready)
        },
        { within: 30_000 },
      )
    return started
  }

  return {
    ledger,
    folder,
    configFile,
    redisUrl: redis.url,
    ledgerUrl: database.url,
    env: all,
    start,
    events: async run => {
      const { rows } = await ledger.query<{ event: string }>(
        `select event from outbox where $1::text is null or ce ->> 'runid' = $1 order by n`,
        [run ?? null],
      )
      return rows.map(row => row.event)
    },
    async close() {
      for (const each of processes) each.kill('SIGKILL')
      await Promise.all(processes.map(each => each.ended))
      await ledger.close()
      await redis.stop()
      await database.drop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
