// A whole installation to be attacked: servers that can be stopped and damaged, eight processes of ours under a supervisor, a receiver of webhooks, an outside reader.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startSink } from '@dbops/sample/sink'
import { type Child, startChild } from '@dbops/servers/child'
import { freePort } from '@dbops/servers/free-port'
import { findOrInstall } from '@dbops/servers/install'
import { createDatabase, startPostgres } from '@dbops/servers/postgres'
import { startRedis } from '@dbops/servers/redis'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import type { Asked, Sources } from '../history/asked.ts'
import { sourceRoot } from '../source-copy.ts'
import type { AppName, Ground } from './ground.ts'
import { type Supervised, startManaged } from './managed.ts'
import { makeNewerVersion } from './newer-version.ts'
import { configFor, tables } from './plan.ts'

export interface Installation extends Ground, AsyncDisposable {
  processes: Supervised[]
  folder: string
  configFile: string
  sources(): Promise<Sources>
  poison: Asked['poison']
  /** Past every proxy. */
  ledgerUrl: string
  targetUrl: string
  platformUrl: string
  redisUrl: string
  /** What this machine does not give: faults of these kinds are left out. */
  missing: { kind: string; why: string }[]
}

const secret = 'chaos'
const crew: [AppName, number][] = [
  ['scheduler', 2],
  ['pg-maintainer', 2],
  ['redis-inspector', 1],
  ['alert-relay', 2],
]

export async function startInstallation({
  say,
  timers,
}: {
  say: (line: string) => void
  timers?: 'tenth' | 'real'
}): Promise<Installation> {
  await using started = new AsyncDisposableStack()
  const missing: Installation['missing'] = []
  removeLeftOver()
  const folder = mkdtempSync(join(tmpdir(), `${folderName}${process.pid}-`))
  started.defer(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  const faketime = await findOrInstall('libfaketime', { yes: true, say }).catch((error: Error) => {
    missing.push({ kind: 'clock', why: error.message })
    return undefined
  })
  const newer = tryTo('other-version', missing, () => {
    makeNewerVersion(join(folder, 'newer'))
    return join(folder, 'newer')
  })
  const disk = smallDisk(join(folder, 'disk'), missing)
  started.defer(disk.remove)
  const store = join(disk.folder, 'store')
  mkdirSync(store)

  const ledger = await keptPostgres(join(folder, 'ledger'))
  started.defer(ledger.remove)
  const ledgerUrl = await createDatabase(ledger.url, 'dbops')
  // When something took effect is when it was committed: a frozen process may do that long after it said so.
  const target = await startPostgres({ settings: { max_connections: '100', track_commit_timestamp: 'on' }, say })
  started.defer(target.stop)
  const targetUrl = await createDatabase(target.url, 'core')
  const db = new Client(targetUrl)
  await db.connect()
  await db.query(tables)
  await db.end()
  const redis = await keptRedis(join(folder, 'redis'))
  started.defer(redis.remove)
  const platform = await startRedis({ settings: { maxmemoryPolicy: 'allkeys-lru', maxmemory: '64mb' }, say })
  started.defer(platform.stop)
  const sink = await startChaosSink()
  started.defer(sink.stop)

  const configFile = join(folder, 'axiom.yaml')
  writeFileSync(configFile, configFor(store, timers))
  const processes: Supervised[] = []
  for (const [app, count] of crew)
    for (let i = 1; i <= count; i++) {
      const managed = await startManaged({
        name: `${app}-${i}`,
        app,
        folder,
        configFile,
        servers: {
          ledger: { variable: 'DBOPS_LEDGER_URL', url: ledgerUrl },
          redis: { variable: 'DBOPS_REDIS_URL', url: redis.url },
          ...(app === 'pg-maintainer' ? { target: { variable: 'CORE_URL', url: targetUrl } } : {}),
          ...(app === 'redis-inspector' ? { platform: { variable: 'PLATFORM_URL', url: platform.url } } : {}),
        },
        env: { SINK_URL: sink.url, SINK_SECRET: secret, DBOPS_LOG_LEVEL: 'info' },
        faketime,
        newer,
      })
      processes.push(managed)
    }
  started.defer(async () => void (await Promise.all(processes.map(each => each.retire()))))
  const reader = outsideReader(join(folder, 'reporting'), redis.url)
  started.defer(reader.stop)
  const redisClient = new Redis(redis.url, { maxRetriesPerRequest: null, retryStrategy: () => 200 })
  redisClient.on('error', () => undefined)
  started.defer(() => redisClient.disconnect())

  const poison: Asked['poison'] = []
  const resources = started.move()
  return {
    processes,
    folder,
    configFile,
    ledgerUrl,
    targetUrl,
    platformUrl: platform.url,
    redisUrl: redis.url,
    ledger,
    redis,
    redisClient,
    store: disk,
    sink,
    reader,
    poison,
    missing,
    notePoison: entry => void poison.push(entry),
    say,
    sources: async () => ({
      ledgerUrl,
      redisUrl: redis.url,
      stores: { main: store },
      targets: { core: targetUrl },
      readers: { reporting: reader.seen() },
      notifications: sink.requests(),
    }),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

/** A PostgreSQL that comes back on the same port with the same data. */
async function keptPostgres(dataDir: string) {
  const port = await freePort()
  const start = () =>
    startPostgres({ dataDir, port, settings: { max_connections: '200', fsync: 'off', full_page_writes: 'off' }, say: () => undefined })
  let server = await start()
  return {
    url: server.url,
    async stop(how: 'fast' | 'immediate') {
      if (how === 'immediate') {
        process.kill(server.pid!, 'SIGQUIT')
        await server.ended
      }
      await server.stop()
    },
    async start() {
      server = await start()
    },
    remove: () => server.stop(),
  }
}

/** A Redis that comes back on the same port, with the file that is asked for. */
async function keptRedis(dir: string) {
  const port = await freePort()
  const start = () => startRedis({ dir, port, settings: { maxmemoryPolicy: 'noeviction', appendonly: true }, say: () => undefined })
  let server = await start()
  const [file, kept] = [join(dir, 'appendonlydir'), `${dir}.kept`]
  return {
    url: server.url,
    async stop(how: 'orderly' | 'killed') {
      if (how === 'killed') {
        process.kill(server.pid!, 'SIGKILL')
        await server.ended
      }
      await server.stop()
    },
    signal: (signal: 'SIGSTOP' | 'SIGCONT') => void process.kill(server.pid!, signal),
    async start(which: 'its own' | 'none' | 'older') {
      if (which !== 'its own') rmSync(file, { recursive: true, force: true })
      if (which === 'older' && existsSync(kept)) cpSync(kept, file, { recursive: true })
      server = await start()
    },
    // The end of the file may be torn, as in any copy of a running server's: Redis then loads what is whole.
    async keep() {
      rmSync(kept, { recursive: true, force: true })
      cpSync(file, kept, { recursive: true })
    },
    remove: () => server.stop(),
  }
}

const folderName = 'dbops-chaos-run-'
/** What a run that was killed has left behind: the processes see to themselves, its mount and its files do not. */
export function removeLeftOver(): void {
  for (const name of readdirSync(tmpdir()).filter(one => one.startsWith(folderName))) {
    if (isAlive(Number(name.slice(folderName.length).split('-')[0]))) continue
    const folder = join(tmpdir(), name)
    if (readFileSync('/proc/mounts', 'utf8').includes(` ${join(folder, 'disk')} `)) execFileSync('umount', ['--lazy', join(folder, 'disk')])
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** What `make` gives; where it cannot be had here, faults of this kind are left out. */
function tryTo<T>(kind: string, missing: Installation['missing'], make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    missing.push({ kind, why: (error as Error).message.split('\n')[0]! })
    return undefined
  }
}

/** A file system of 256 MiB where this machine lets us mount one; else an ordinary folder, which is never filled. */
function smallDisk(folder: string, missing: Installation['missing']) {
  mkdirSync(folder)
  const ballast = join(folder, 'ballast')
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256m', 'dbops-chaos', folder], { stdio: 'pipe' })
  } catch (error) {
    missing.push({ kind: 'store-full', why: `no file system of its own can be mounted here: ${(error as Error).message.split('\n')[0]}` })
    return { folder, fill: async () => undefined, free: async () => undefined, remove: () => undefined }
  }
  return {
    folder,
    async fill() {
      const { bavail, bsize } = statfsSync(folder)
      // A dump that is being written may take the room first: then it is as full.
      try {
        writeFileSync(ballast, Buffer.alloc(Math.max(0, (bavail - 4) * bsize)))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    },
    free: async () => rmSync(ballast, { force: true }),
    remove: () => void execFileSync('umount', ['--lazy', folder]),
  }
}

async function startChaosSink() {
  let mood: 'well' | 'failing' | 'limiting' | 'silent' | 'breaking' = 'well'
  const answers: number[] = []
  const release = new Set<() => void>()
  const sink = await startSink({
    secret,
    async answer(n) {
      answers[n - 1] = 0
      if (mood === 'silent') await new Promise<void>(go => release.add(go))
      if (mood === 'breaking') throw new Error('the connection breaks after the message was taken')
      const status = mood === 'failing' ? 503 : mood === 'limiting' ? 429 : 204
      answers[n - 1] = status
      return { status, headers: { 'retry-after': '1' } }
    },
  })
  return {
    url: sink.url,
    be(next: typeof mood) {
      mood = next
      for (const go of release) go()
      release.clear()
    },
    requests: () =>
      sink.received.map(({ at, key, body }, i) => ({ at, key: key ?? '', status: answers[i] ?? 0, body: JSON.parse(body) as unknown })),
    stop: () => sink.stop(),
  }
}

/** The program of docs/subscribe.md as it stands there, past every proxy: what it keeps as a file it has seen. */
function outsideReader(folder: string, redisUrl: string) {
  mkdirSync(folder)
  const stopping = new AbortController()
  let child: Child | undefined
  const supervise = async () => {
    while (!stopping.signal.aborted) {
      child = startChild([process.execPath, join(sourceRoot, 'docs/examples/subscribe.mjs')], {
        env: { ...process.env, DBOPS_REDIS_URL: redisUrl, GROUP: 'reporting', FOLDER: folder },
        orphanSignal: 'TERM',
      })
      await child.ended
      await sleep(300, undefined, { signal: stopping.signal }).catch(() => undefined)
    }
  }
  const supervising = supervise()
  return {
    signal(signal: 'SIGSTOP' | 'SIGCONT') {
      if (child?.pid) process.kill(child.pid, signal)
    },
    seen: () =>
      readdirSync(folder)
        .filter(name => name.endsWith('.json'))
        .map(name => name.slice(0, -'.json'.length)),
    async stop() {
      stopping.abort()
      await child?.stop([['SIGKILL', 1_000]])
      await supervising
    },
  }
}
