// Redis: a given one, one in Docker, or a child process that answers in 50 ms.
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Redis } from 'ioredis'
import { startChild } from './child.ts'
import { claimFolder } from './claim.ts'
import { freePort } from './free-port.ts'
import { findOrInstall, type InstallOptions } from './install.ts'
import { lastLines } from './log-tail.ts'
import { resolveServer, type Server } from './resolve.ts'
import { ServerError } from './server-error.ts'
import { whenReady } from './when-ready.ts'

export interface RedisOptions extends InstallOptions {
  /** A server that is there already: waited for, used as it is, never stopped. */
  url?: string
  /** Kept between runs, with the password in it. Without it: a temporary folder, removed on stop. */
  dir?: string
  /** On 127.0.0.1; a free one by default. */
  port?: number
  /** Redis's own directives, also in camel case: `maxmemoryPolicy` is `maxmemory-policy`. */
  settings?: Record<string, string | number | boolean>
  /** Default: `redis.log` in the folder. */
  logFile?: string
  signal?: AbortSignal
}

/** Starts or finds a server; `url` holds its password. Errors: ServerError, with the end of the server's log. */
export function startRedis(options: RedisOptions = {}): Promise<Server> {
  const say = options.say ?? (line => console.error(line))
  return resolveServer({
    engine: 'redis',
    url: options.url,
    ready: url => whenReady('Redis', url, () => answers(url), { signal: options.signal, within: 15_000 }),
    native: () => startNative(options, say),
    say,
  })
}

async function startNative(options: RedisOptions, say: (line: string) => void) {
  const kept = options.dir !== undefined
  const dir = kept ? resolve(options.dir as string) : mkdtempSync(join(tmpdir(), 'dbops-redis-'))
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const tidy = () => !kept && rmSync(dir, { recursive: true, force: true })
  const claim = kept ? await claimFolder(dir, 'SIGTERM', say) : undefined
  try {
    const program = await findOrInstall('redis-server', options)
    const password = passwordOf(dir)
    const port = options.port ?? (await freePort())
    const logFile = options.logFile ?? `${dir}/redis.log`
    // A file and not arguments: everybody may read the arguments of a process, and the password is among them.
    const lines = { bind: '127.0.0.1', port, dir, daemonize: false, save: '""', requirepass: password, ...options.settings }
    writeFileSync(`${dir}/redis.conf`, Object.entries(lines).map(directive).join(''), { mode: 0o600 })
    const child = startChild([program, `${dir}/redis.conf`], {
      logFile,
      cwd: dir,
      orphanSignal: 'TERM',
      orphanFolder: kept ? undefined : dir,
    })
    claim?.serves(child.pid)
    const stop = async () => {
      await child.stop([['SIGTERM', 10_000]])
      claim?.release()
      tidy()
    }
    const url = `redis://:${password}@127.0.0.1:${port}`
    try {
      await whenReady('Redis', url, () => answers(url), {
        signal: options.signal,
        within: 60_000,
        ended: child.end,
        log: () => lastLines(logFile),
      })
    } catch (error) {
      await stop()
      throw error
    }
    return { url, pid: child.pid, stop }
  } catch (error) {
    claim?.release()
    tidy()
    throw error
  }
}

function directive([name, value]: [string, string | number | boolean]): string {
  const kebab = name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
  return `${kebab} ${typeof value === 'boolean' ? (value ? 'yes' : 'no') : value}\n`
}

function passwordOf(dir: string): string {
  const file = `${dir}/password`
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  const password = randomBytes(18).toString('base64url')
  writeFileSync(file, password, { mode: 0o600 })
  return password
}

async function answers(url: string): Promise<void> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0, connectTimeout: 5_000 })
  // What went wrong comes as an event; the rejected promise only says that the connection is closed.
  let cause: Error | undefined
  redis.on('error', error => (cause = error))
  try {
    await redis.connect()
    // While it loads its data it accepts connections and answers with an error.
    await redis.ping()
  } catch (error) {
    const { message } = cause ?? (error as Error)
    // Asking again with the same password changes nothing.
    if (/^(WRONGPASS|NOAUTH|NOPERM)/.test(message))
      throw new ServerError(`Redis refuses: ${message}`, 'Check the password in the URL: redis://:PASSWORD@HOST:PORT')
    throw cause ?? error
  } finally {
    redis.disconnect()
  }
}
