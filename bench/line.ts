// The whole line for a bench: servers, a ledger, and services as processes of their own that say when they are ready and can be measured from outside.
import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { nodeFlags } from '@dbops/runtime/node-flags'
import { createDatabase, startPostgres } from '@dbops/servers/postgres'
import { startRedis } from '@dbops/servers/redis'
import { say } from './report.ts'

const root = join(import.meta.dirname, '..')
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

export interface Process {
  child: ChildProcess
  pid: number
  /** Milliseconds from its start to its own word that it is ready. */
  readyAfter: number
  stop(): Promise<void>
}

export interface Line extends AsyncDisposable {
  ledger: Ledger
  /** A superuser's, of the one PostgreSQL server. */
  adminUrl: string
  ledgerUrl: string
  redisUrl: string
  folder: string
  /** The pid of the PostgreSQL server. */
  serverPid: number
  /** Starts a `main.ts` (path from the root of the repository) with the configuration and waits until it says that it is ready. */
  start(main: string, args?: string[]): Promise<Process>
  /** Starts any other program of ours, which says "ready" over its channel. */
  startPeer(main: string): Promise<Process>
}

/** `config` is made when the servers are there, as it names them. */
export async function startLine(
  config: (place: { adminUrl: string; platformRedisUrl: string; folder: string }) => Promise<string>,
): Promise<Line> {
  await using started = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'dbops-bench-'))
  started.defer(() => rmSync(folder, { recursive: true, force: true }))
  say('starting PostgreSQL and Redis')
  const pg = await startPostgres({ settings: { max_connections: '100', fsync: 'on' } })
  started.defer(() => pg.stop())
  const redis = await startRedis({ settings: { maxmemoryPolicy: 'noeviction', appendonly: true } })
  started.defer(() => redis.stop())
  const platform = await startRedis({ settings: { maxmemoryPolicy: 'allkeys-lru', maxmemory: '64mb' } })
  started.defer(() => platform.stop())
  const ledgerUrl = await createDatabase(pg.url, 'dbops')
  const ledger = await openLedger({ url: ledgerUrl, name: 'bench', sessions: 4 })
  started.defer(() => ledger.close())
  const file = join(folder, 'axiom.yaml')
  writeFileSync(file, await config({ adminUrl: pg.url, platformRedisUrl: platform.url, folder }))
  // As `up` starts them: what Node has compiled is kept (apps/cli/src/home.ts).
  const env = {
    NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/dbops'),
    ...process.env,
    DBOPS_LEDGER_URL: ledgerUrl,
    DBOPS_REDIS_URL: redis.url,
  }

  const begin = async (main: string, args: string[], isReady: (child: ChildProcess, ready: () => void) => void): Promise<Process> => {
    const startedAt = performance.now()
    const child = fork(join(root, main), args, { env, execArgv: [...nodeFlags], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
    // Servers have a watchdog of their own; a service would live on after a bench that was ended from outside.
    process.once('exit', () => child.kill('SIGKILL'))
    const ended = new Promise<number | null>(done => child.once('exit', done))
    const stop = async () => {
      child.kill('SIGTERM')
      const patience = setTimeout(() => child.kill('SIGKILL'), 12_000)
      await ended
      clearTimeout(patience)
    }
    resources.defer(stop)
    await Promise.race([
      new Promise<void>(ready => isReady(child, ready)),
      ended.then(code => Promise.reject(new Error(`${main} ended with ${code}`))),
    ])
    return { child, pid: child.pid!, readyAfter: performance.now() - startedAt, stop }
  }
  const saysSo = (child: ChildProcess, ready: () => void) =>
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('"service_ready"')) ready()
      for (const line of text.split('\n')) if (/"level":"(error|critical)"/.test(line)) say(line)
    })
  const resources = started.move()
  return {
    ledger,
    adminUrl: pg.url,
    ledgerUrl,
    redisUrl: redis.url,
    folder,
    serverPid: pg.pid ?? 0,
    start: (main, args = []) => begin(main, ['--config', file, ...args], saysSo),
    startPeer: main => begin(main, [], (child, ready) => child.once('message', ready)),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
