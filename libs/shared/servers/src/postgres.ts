// PostgreSQL: a given one, one in Docker, or a child process that is ready in about a second and leaves nothing behind.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client, type DatabaseError, escapeIdentifier } from 'pg'
import { startChild } from './child.ts'
import { claimFolder } from './claim.ts'
import { freePort } from './free-port.ts'
import { findOrInstall, type InstallOptions } from './install.ts'
import { lastLines } from './log-tail.ts'
import { resolveServer, type Server } from './resolve.ts'
import { ServerError } from './server-error.ts'
import { folderFor, type User, unprivilegedUser } from './unprivileged.ts'
import { whenReady } from './when-ready.ts'

export interface PostgresOptions extends InstallOptions {
  /** A server that is there already: waited for, used as it is, never stopped. */
  url?: string
  /** Kept between runs, as is the superuser's password beside it (`<dataDir>.password`). Without it: a temporary folder, removed on stop. */
  dataDir?: string
  /** On 127.0.0.1; a free one by default. */
  port?: number
  /** The major version, for example '16'; unasked it is 15, else the newest there is. A kept folder knows its own. */
  version?: string
  /** Lines of the server's configuration, by their PostgreSQL names; they win over ours. */
  settings?: Record<string, string>
  /** Default: `<dataDir>.log`, or in the temporary folder. */
  logFile?: string
  signal?: AbortSignal
}

/** Starts or finds a server; `url` is its superuser's, to the database `postgres`. Errors: ServerError, with the end of the server's log. */
export function startPostgres(options: PostgresOptions = {}): Promise<Server> {
  const say = options.say ?? (line => console.error(line))
  return resolveServer({
    engine: 'pg',
    url: options.url,
    ready: url => whenReady('PostgreSQL', url, () => answers(url), { signal: options.signal, within: 15_000 }),
    native: () => startNative(options, say),
    say,
  })
}

// A laptop runs this beside everything else; 15 MB of shared buffers more or less are not felt, 100 idle connections are.
const settings = {
  listen_addresses: '127.0.0.1',
  // TCP with a password is one way in; a socket would be a second, and its path has a length limit.
  unix_socket_directories: '',
  shared_preload_libraries: 'pg_stat_statements,auto_explain',
  shared_buffers: '64MB',
  max_connections: '100',
  min_wal_size: '32MB',
  max_wal_size: '512MB',
  jit: 'off',
  track_io_timing: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] %a ',
}

// What is thrown away need not survive a power cut.
const throwAway = { fsync: 'off', full_page_writes: 'off' }

async function startNative(options: PostgresOptions, say: (line: string) => void) {
  const kept = options.dataDir !== undefined
  const user = unprivilegedUser()
  const above = kept ? undefined : mkdtempSync(join(tmpdir(), 'dbops-pg-'))
  if (above && user) chownSync(above, user.uid, user.gid)
  const data = folderFor(options.dataDir ?? join(above as string, 'data'), user)
  if (kept && data !== options.dataDir && user)
    say(`PostgreSQL's data is kept in ${data}: its user ${user.name} cannot reach ${options.dataDir}`)
  const tidy = () => above && rmSync(above, { recursive: true, force: true })
  const claim = kept ? await claimFolder(data, 'SIGINT', say) : undefined
  try {
    const version = existsSync(`${data}/PG_VERSION`) ? readFileSync(`${data}/PG_VERSION`, 'utf8').trim() : options.version
    const program = await findOrInstall(version ? `postgres@${version}` : 'postgres', options)
    const password = passwordOf(data, user)
    if (!existsSync(`${data}/PG_VERSION`)) initialise(program, data, user)
    const logFile = options.logFile ?? `${data}.log`
    const port = options.port ?? (await freePort())
    configure(data, { ...settings, ...(kept ? {} : throwAway), ...options.settings, port: String(port) })
    const child = startChild([program, '-D', data], {
      logFile,
      user,
      cwd: data,
      orphanSignal: 'INT',
      orphanFolder: above,
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
    })
    claim?.serves(child.pid)
    const stop = async () => {
      // Fast: open transactions are rolled back. Then immediate: the next start recovers from the log.
      await child.stop([
        ['SIGINT', 10_000],
        ['SIGQUIT', 5_000],
      ])
      claim?.release()
      tidy()
    }
    const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`
    try {
      await whenReady('PostgreSQL', url, () => answers(url), {
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

function passwordOf(data: string, user: User | undefined): string {
  const file = `${data}.password`
  if (existsSync(`${data}/PG_VERSION`) && existsSync(file)) return readFileSync(file, 'utf8').trim()
  const password = randomBytes(18).toString('base64url')
  writeFileSync(file, password, { mode: 0o600 })
  // initdb reads it, and runs as the server's user.
  if (user) chownSync(file, user.uid, user.gid)
  return password
}

function initialise(program: string, data: string, user: User | undefined): void {
  const argv = [
    '-D',
    data,
    '-U',
    'postgres',
    '-A',
    'scram-sha-256',
    `--pwfile=${data}.password`,
    '-E',
    'UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
    '--no-instructions',
  ]
  try {
    execFileSync(join(dirname(program), 'initdb'), argv, {
      ...identity(user),
      cwd: dirname(data),
      stdio: ['ignore', 'pipe', 'pipe'],
      encoding: 'utf8',
    })
  } catch (error) {
    throw new ServerError(`initdb failed in ${data}: ${(error as { stderr?: string }).stderr?.trim() ?? (error as Error).message}`)
  }
  appendFileSync(`${data}/postgresql.conf`, "\ninclude_if_exists = 'dbops.conf'\n")
}

// In a file of its own and not on the command line, so that ALTER SYSTEM still has the last word.
function configure(data: string, lines: Record<string, string>): void {
  const text = Object.entries(lines).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
  writeFileSync(`${data}/dbops.conf`, text.join(''))
}

const identity = (user: User | undefined) => (user ? { uid: user.uid, gid: user.gid } : {})

async function answers(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  // A connection that breaks after it was made must not end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('SELECT 1')
  } catch (error) {
    throw refusal(error as DatabaseError) ?? error
  } finally {
    await client.end().catch(() => {})
  }
}

// Wrong user, wrong password, no such database: asking again changes nothing.
const refusal = ({ code, message }: DatabaseError) =>
  code?.startsWith('28') || code === '3D000'
    ? new ServerError(`PostgreSQL refuses: ${message}`, 'Check user, password and database in the URL.')
    : undefined

/** Makes a database on the server of `url`, as a copy of `template` where one is named; resolves to its URL. */
export async function createDatabase(url: string, name: string, { template }: { template?: string } = {}): Promise<string> {
  await execute(url, `CREATE DATABASE ${escapeIdentifier(name)}${template ? ` TEMPLATE ${escapeIdentifier(template)}` : ''}`)
  return databaseUrl(url, name)
}

/** Drops a database with whoever is still connected to it; none of that name is fine. */
export async function dropDatabase(url: string, name: string): Promise<void> {
  await execute(url, `DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`)
}

/** The same server, user and options, another database. */
export function databaseUrl(url: string, name: string): string {
  const other = new URL(url)
  other.pathname = `/${encodeURIComponent(name)}`
  return other.href
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url, application_name: 'dbops:servers' })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
