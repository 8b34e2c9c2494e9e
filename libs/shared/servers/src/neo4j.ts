// Neo4j 5 Community: a given one, one in Docker, or a child process that answers over Bolt in some six seconds and takes about 0.5 GB.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import neo4j, { type Neo4jError } from 'neo4j-driver'
import { startChild } from './child.ts'
import { claimFolder } from './claim.ts'
import { freePort } from './free-port.ts'
import { findOrInstall, type InstallOptions } from './install.ts'
import { lastLines } from './log-tail.ts'
import { neo4jLib } from './neo4j-lib.ts'
import { resolveServer, type Server } from './resolve.ts'
import { ServerError } from './server-error.ts'
import { whenReady } from './when-ready.ts'

export interface Neo4jOptions extends InstallOptions {
  /** A server that is there already: waited for, used as it is, never stopped. Credentials belong into it: bolt://neo4j:PASSWORD@HOST:PORT */
  url?: string
  /** Kept between runs, with the password in it. Without it: a temporary folder, removed on stop. */
  home?: string
  /** Bolt's, on 127.0.0.1; a free one by default. There is no HTTP. */
  port?: number
  /** Default: user neo4j with a random password. It can be chosen for a new home only; `false` lets everybody in. */
  auth?: { password: string } | false
  /** Of the JVM, for example '1g'; default '512m'. */
  heap?: string
  /** Lines of neo4j.conf; they win over ours. */
  settings?: Record<string, string>
  /** Default: `logs/console.log` in the home. */
  logFile?: string
  signal?: AbortSignal
}

/** Starts or finds a server; `url` is Bolt's, with the credentials in it. Errors: ServerError, with the end of the server's log. */
export function startNeo4j(options: Neo4jOptions = {}): Promise<Server> {
  const say = options.say ?? (line => console.error(line))
  return resolveServer({
    engine: 'neo4j',
    url: options.url,
    ready: url => whenReady('Neo4j', url, () => answers(url), { signal: options.signal, within: 30_000 }),
    native: () => startNative(options, say),
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

const settings = (port: number, auth: boolean) => ({
  'server.default_listen_address': '127.0.0.1',
  'server.bolt.listen_address': `127.0.0.1:${port}`,
  'server.bolt.advertised_address': `127.0.0.1:${port}`,
  'server.http.enabled': 'false',
  'server.https.enabled': 'false',
  'dbms.security.auth_enabled': String(auth),
  'dbms.usage_report.enabled': 'false',
  'server.memory.pagecache.size': '128m',
  // Each database would begin with a log of 256 MB.
  'db.tx_log.preallocate': 'false',
  // Bolt's end waits twice five seconds for threads that have ended; with this a stop takes 2 s and not 12.
  'internal.server.bolt.thread_pool_shutdown_wait_time': '0s',
})

async function startNative(options: Neo4jOptions, say: (line: string) => void) {
  const kept = options.home !== undefined
  const home = kept ? resolve(options.home as string) : mkdtempSync(join(tmpdir(), 'dbops-neo4j-'))
  for (const folder of ['conf', 'data', 'logs', 'plugins', 'import', 'run']) mkdirSync(join(home, folder), { recursive: true, mode: 0o700 })
  const tidy = () => !kept && rmSync(home, { recursive: true, force: true })
  const claim = kept ? await claimFolder(home, 'SIGTERM', say) : undefined
  try {
    const java = await findOrInstall('java', options)
    const lib = await neo4jLib(options)
    const port = options.port ?? (await freePort())
    const auth = options.auth !== false
    const lines = { ...settings(port, auth), ...options.settings }
    writeFileSync(
      join(home, 'conf/neo4j.conf'),
      Object.entries(lines)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    )
    const password = auth ? await passwordOf(home, java, lib, options.auth || undefined) : ''
    const heap = options.heap ?? '512m'
    // The class path's stars are the JVM's to expand. The heap comes from here: neo4j.conf is read too late for it.
    const argv = [
      '-cp',
      `${home}/plugins/*:${lib}/*`,
      `-Xms${heap}`,
      `-Xmx${heap}`,
      ...jvm,
      'org.neo4j.server.CommunityEntryPoint',
      `--home-dir=${home}`,
      `--config-dir=${home}/conf`,
    ]
    const logFile = options.logFile ?? join(home, 'logs/console.log')
    const child = startChild([java, ...argv], { logFile, cwd: home, orphanSignal: 'TERM', orphanFolder: kept ? undefined : home })
    claim?.serves(child.pid)
    const stop = async () => {
      await child.stop([['SIGTERM', 20_000]])
      claim?.release()
      tidy()
    }
    const url = auth ? `bolt://neo4j:${encodeURIComponent(password)}@127.0.0.1:${port}` : `bolt://127.0.0.1:${port}`
    try {
      await whenReady('Neo4j', url, () => answers(url), {
        signal: options.signal,
        within: 90_000,
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

// Before the first start only: afterwards neo4j-admin says "Changed password" and changes nothing.
async function passwordOf(home: string, java: string, lib: string, wanted?: { password: string }): Promise<string> {
  const file = join(home, 'password')
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  const password = wanted?.password ?? randomBytes(18).toString('base64url')
  await neo4jAdmin({ home, java, lib }, 'dbms', 'set-initial-password', password)
  writeFileSync(file, password, { mode: 0o600 })
  return password
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
