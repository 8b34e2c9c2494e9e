// Neo4j 5 Community: a given one, one in Docker, or a child process that answers over Bolt in some six seconds and takes about 0.5 GB.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import neo4j, { type Neo4jError } from 'neo4j-driver'
import { startContainer } from './docker.ts'
import { findOrInstall, type InstallOptions } from './install.ts'
import { keptPassword, randomPassword } from './kept.ts'
import { startNative } from './native.ts'
import { neo4jLib, neo4jVersion } from './neo4j-lib.ts'
import { resolveServer, type Server, type Started } from './resolve.ts'
import { ServerError } from './server-error.ts'
import { untilReady, whenReady } from './when-ready.ts'

export interface Neo4jOptions extends InstallOptions {
  /** A server that is there already: waited for, used as it is, never stopped. Credentials belong into it: bolt://neo4j:PASSWORD@HOST:PORT */
  url?: string
  /** Kept between runs, as is the password beside it (`<home>.password`). Without it: a temporary folder, removed on stop. */
  home?: string
  /** Bolt's, on 127.0.0.1; a free one by default. There is no HTTP. */
  port?: number
  /** Default: user neo4j with a random password. It can be chosen for a new home only; `false` lets everybody in. */
  auth?: { password: string } | false
  /** Of the JVM, for example '1g'; default '512m'. */
  heap?: string
  /** Lines of neo4j.conf; they win over ours. */
  settings?: Record<string, string>
  /** Default: `<home>.log`, or in the temporary folder. */
  logFile?: string
  signal?: AbortSignal
}

/** Starts or finds a server; `url` is Bolt's, with the credentials in it. Errors: ServerError, with the end of the server's log. */
export function startNeo4j(options: Neo4jOptions = {}): Promise<Server> {
  const { signal, say = line => console.error(line) } = options
  return resolveServer({
    engine: 'neo4j',
    url: options.url,
    kept: options.home && resolve(options.home),
    ready: url => whenReady('Neo4j', url, () => answers(url), { signal, within: 30_000 }),
    docker: () => inDocker(options, say),
    native: () =>
      startNative({
        what: 'Neo4j',
        kept: options.home,
        port: options.port,
        logFile: options.logFile,
        stopWith: [['SIGTERM', 20_000]],
        patience: 90_000,
        signal,
        say,
        prepare: (home, port) => prepare(home, port, options),
        answers,
      }),
    say,
  })
}

// What neo4j's own start script sets; the serial collector and the first compiler alone start faster and take half the memory.
const jvm = [
  '-Dfile.encoding=UTF-8',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-XX:+DisableExplicitGC',
  '-XX:+ExitOnOutOfMemoryError',
  '-Dio.netty.tryReflectionSetAccessible=true',
  '-Dlog4j2.disable.jmx=true',
  ...['java.nio', 'java.io', 'sun.nio.ch', 'java.util.concurrent'].map(name => `--add-opens=java.base/${name}=ALL-UNNAMED`),
]

const settings = {
  'dbms.usage_report.enabled': 'false',
  'server.memory.pagecache.size': '128m',
  // Each database would begin with a log of 256 MB.
  'db.tx_log.preallocate': 'false',
  // Bolt's end waits twice five seconds for threads that have ended; with this a stop takes 2 s and not 12.
  'internal.server.bolt.thread_pool_shutdown_wait_time': '0s',
}

const local = (port: number) => ({
  'server.default_listen_address': '127.0.0.1',
  'server.bolt.listen_address': `127.0.0.1:${port}`,
  'server.bolt.advertised_address': `127.0.0.1:${port}`,
  'server.http.enabled': 'false',
  'server.https.enabled': 'false',
})

async function prepare(home: string, port: number, options: Neo4jOptions) {
  const java = await findOrInstall('java', options)
  const lib = await neo4jLib(options)
  const { auth = {}, heap = '512m' } = options
  const isNew = !existsSync(join(home, 'data/databases'))
  for (const folder of ['conf', 'data', 'logs', 'plugins', 'import', 'run']) mkdirSync(join(home, folder), { recursive: true, mode: 0o700 })
  const lines = { ...settings, ...local(port), 'dbms.security.auth_enabled': String(auth !== false), ...options.settings }
  writeFileSync(
    join(home, 'conf/neo4j.conf'),
    Object.entries(lines)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  const password = auth && keptPassword(home, wanted(auth))
  // Before the first start only: afterwards neo4j-admin says "Changed password" and changes nothing.
  // What follows -- is no option: one password in 64 begins with a hyphen.
  if (password && isNew) await neo4jAdmin({ home, java, lib }, 'dbms', 'set-initial-password', '--', password)
  // The class path's stars are the JVM's to expand. The heap comes from here: neo4j.conf is read too late for it.
  const jvmOptions = ['-cp', `${home}/plugins/*:${lib}/*`, `-Xms${heap}`, `-Xmx${heap}`, ...jvm]
  return {
    argv: [java, ...jvmOptions, 'org.neo4j.server.CommunityEntryPoint', `--home-dir=${home}`, `--config-dir=${home}/conf`] as [
      string,
      ...string[],
    ],
    url: boltUrl(`127.0.0.1:${port}`, password),
  }
}

const wanted = (auth: { password?: string }) => auth.password ?? randomPassword()

const boltUrl = (address: string, password: string | false) =>
  password ? `bolt://neo4j:${encodeURIComponent(password)}@${address}` : `bolt://${address}`

async function inDocker(options: Neo4jOptions, say: (line: string) => void): Promise<Started> {
  const { auth = {}, heap = '512m' } = options
  const folder = options.home && resolve(options.home)
  const password = auth && (folder ? keptPassword(folder, wanted(auth)) : wanted(auth))
  const lines = { ...settings, 'server.memory.heap.initial_size': heap, 'server.memory.heap.max_size': heap, ...options.settings }
  const { address, stop } = await startContainer({
    image: `neo4j:${neo4jVersion}-community`,
    port: 7687,
    hostPort: options.port,
    // The image's way to write a setting: dots become _, and _ becomes __.
    environment: {
      NEO4J_AUTH: password ? `neo4j/${password}` : 'none',
      ...Object.fromEntries(
        Object.entries(lines).map(([name, value]) => [`NEO4J_${name.replaceAll('_', '__').replaceAll('.', '_')}`, value]),
      ),
    },
    keep: folder ? { folder, at: '/data' } : undefined,
    say,
  })
  return untilReady({ url: boltUrl(address, password), stop }, url =>
    whenReady('Neo4j', url, () => answers(url), { signal: options.signal, within: 90_000 }),
  )
}

/** Runs neo4j-admin on a home whose server is not running; about a second for the JVM's start. Errors: ServerError, with what it said. */
export async function neo4jAdmin({ home, java, lib }: { home: string; java: string; lib: string }, ...argv: string[]): Promise<string> {
  const env = { ...process.env, NEO4J_HOME: home, NEO4J_CONF: join(home, 'conf') }
  try {
    const { stdout } = await promisify(execFile)(java, ['-cp', `${lib}/*`, '-Xmx512m', ...jvm, 'org.neo4j.cli.AdminTool', ...argv], {
      env,
      cwd: home,
    })
    return stdout
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string }
    throw new ServerError(`neo4j-admin ${argv.slice(0, 2).join(' ')} failed: ${withoutStack(stderr || message)}`, undefined, {
      cause: error,
    })
  }
}

const withoutStack = (text: string) => text.trim().replaceAll(/\n\s+at .*/g, '')

async function answers(url: string): Promise<void> {
  const { username, password, protocol, host } = new URL(url)
  const token = username ? neo4j.auth.basic(decodeURIComponent(username), decodeURIComponent(password)) : undefined
  const driver = neo4j.driver(`${protocol}//${host}`, token, {
    connectionTimeout: 5_000,
    maxConnectionPoolSize: 1,
    telemetryDisabled: true,
  })
  try {
    await driver.executeQuery('RETURN 1')
  } catch (error) {
    // Asking again with a wrong password would only lock the user out.
    if ((error as Neo4jError).code?.startsWith('Neo.ClientError.Security.'))
      throw new ServerError(
        `Neo4j refuses: ${(error as Error).message}`,
        'Check user and password in the URL: bolt://neo4j:PASSWORD@HOST:PORT',
      )
    throw error
  } finally {
    await driver.close()
  }
}
