// The whole line for a test: a ledger and a Redis of its own, and real processes of ours that can be killed, frozen and looked at from outside.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { listServices } from '@dbops/ledger/services'
import { startRedis } from '@dbops/servers/redis'
import { freshDatabase } from './database.ts'
import { until } from './until.ts'

export interface Process {
  child: ChildProcess
  /** What it printed, line by line; NDJSON of the log. */
  lines: string[]
  kill(signal: NodeJS.Signals): void
  /** SIGTERM, and its exit code. */
  stop(): Promise<number | null>
  ended: Promise<number | null>
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

const root = resolve(import.meta.dirname, '../../../..')

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
    const child = spawn(process.execPath, [join(root, main), '--config', configFile, ...args], {
      env: { ...process.env, ...all, ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    const lines: string[] = []
    for (const output of [child.stdout, child.stderr])
      output.setEncoding('utf8').on('data', (text: string) => lines.push(...text.split('\n').filter(Boolean)))
    const ended = new Promise<number | null>(done => child.once('exit', code => done(code)))
    const kill = (signal: NodeJS.Signals) =>
      void (child.exitCode === null && child.signalCode === null && process.kill(-child.pid!, signal))
    const started: Process = {
      child,
      lines,
      kill,
      ended,
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
          if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${lines.slice(-5).join('\n')}`)
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
