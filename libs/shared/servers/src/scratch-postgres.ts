// A PostgreSQL server that is thrown away: reached by its socket alone, in a folder of its own, with nothing in it that acts by itself.
import { execFile } from 'node:child_process'
import { appendFileSync, chownSync, existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { claimFolder, isClaimedElsewhere, ownerOf } from './claim.ts'
import { keptPassword } from './kept.ts'
import { startNative } from './native.ts'
import { ServerError } from './server-error.ts'
import { placeOf, unprivilegedUser } from './unprivileged.ts'

export interface ScratchOptions {
  /** Of its folder: `<temporary folder>/dbops-scratch-<name>`. Refused while a living process has it. */
  name: string
  /** The program `postgres`; initdb lies beside it. */
  program: string
  /** Lines of its configuration, by their PostgreSQL names; they win over ours. */
  settings?: Record<string, string>
  signal?: AbortSignal
}

export interface ScratchServer extends AsyncDisposable {
  /** Private (0700) and removed with the server; there is room in it for the caller's files. */
  folder: string
  data: string
  /** The folder of its socket, and the number in the socket's name. */
  host: string
  port: number
  user: string
  password: string
  pid: number
  ended: Promise<string>
  /** May be called twice. */
  stop(): Promise<void>
}

const prefix = 'dbops-scratch-'

/** Milliseconds between two signs of life, and after how many without one a claim of another container is taken for dead. */
const signOfLife = 20_000
const patience = 6 * signOfLife

/** A name that no restored role has: what the copy says of "postgres" must not be said of the role that we work as. */
const superuser = 'dbops_scratch'

const settings = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  // pg_cron in a copy runs the jobs of the original, also against the original.
  shared_preload_libraries: '',
  session_preload_libraries: '',
  max_logical_replication_workers: '0',
  archive_mode: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  // Nobody wants it after a power cut.
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum: 'off',
  checkpoint_timeout: '30min',
  max_wal_size: '1GB',
  shared_buffers: '128MB',
  maintenance_work_mem: '256MB',
  max_locks_per_transaction: '256',
  max_connections: '40',
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** Where scratch folders are: TMPDIR, or below /var/lib/dbops where the server's user cannot reach that. */
export const scratchPlace = (): string => dirname(scratchFolder('x'))

const scratchFolder = (name: string) => placeOf(join(tmpdir(), prefix + name), unprivilegedUser())

/** Errors: ServerError with the end of the log; then nothing is left of it. */
export async function startScratchPostgres({ name, program, settings: more, signal }: ScratchOptions): Promise<ScratchServer> {
  const folder = scratchFolder(name)
  // sun_path of Linux, with its closing zero.
  if (join(folder, '.s.PGSQL.65535').length > 107)
    throw new ServerError(`${folder} is too long a name for the folder of a socket`, 'Set TMPDIR to a shorter one.')
  const user = unprivilegedUser()
  let password = ''
  let port = 0
  const { pid, ended, stop } = await startNative({
    what: 'the scratch PostgreSQL',
    scratch: folder,
    user,
    stopWith: [
      ['SIGINT', 10_000],
      ['SIGQUIT', 5_000],
    ],
    patience: 60_000,
    signal,
    say: () => undefined,
    answers,
    async prepare(data, number) {
      port = number
      password = keptPassword(data)
      if (user) chownSync(`${data}.password`, user.uid, user.gid)
      await initialise(program, data, user, signal)
      const lines = { ...settings, unix_socket_directories: folder, ...more, port: String(port) }
      const text = Object.entries(lines).map(([key, value]) => `${key} = '${value.replaceAll("'", "''")}'\n`)
      writeFileSync(`${data}/dbops.conf`, text.join(''))
      return {
        argv: [program, '-D', data],
        env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
        url: `postgres://${superuser}:${password}@localhost:${port}/postgres?host=${encodeURIComponent(folder)}`,
      }
    },
  })
  const alive = setInterval(() => touch(`${folder}.claim`), signOfLife)
  alive.unref()
  let stopped: Promise<void> | undefined
  const end = () => {
    clearInterval(alive)
    return (stopped ??= stop())
  }
  return {
    folder,
    data: join(folder, 'data'),
    host: folder,
    port,
    user: superuser,
    password,
    pid: pid!,
    ended: ended!,
    stop: end,
    [Symbol.asyncDispose]: end,
  }
}

async function initialise(program: string, data: string, user: { uid: number; gid: number } | undefined, signal?: AbortSignal) {
  const access = ['-U', superuser, '-A', 'scram-sha-256', `--pwfile=${data}.password`]
  const argv = ['-D', data, ...access, '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions']
  try {
    await promisify(execFile)(join(dirname(program), 'initdb'), argv, { uid: user?.uid, gid: user?.gid, cwd: data, signal })
  } catch (error) {
    signal?.throwIfAborted()
    const { stderr, message } = error as Error & { stderr?: string }
    throw new ServerError(`initdb failed in ${data}: ${stderr?.trim() || message}`, undefined, { cause: error })
  }
  appendFileSync(`${data}/postgresql.conf`, "\ninclude_if_exists = 'dbops.conf'\n")
}

async function answers(url: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('SELECT 1')
  } finally {
    await client.end().catch(() => undefined)
  }
}

function touch(file: string): void {
  try {
    utimesSync(file, new Date(), new Date())
  } catch {
    // It ends at this moment.
  }
}

const lastSign = (folder: string) => statSync(`${folder}.claim`, { throwIfNoEntry: false })?.mtimeMs ?? 0

/**
 * Ends the scratch servers of processes that are no more, and removes their folders; resolves with the folders' names. The watchdog of a
 * server does so at once; this is for when it was killed too, or the machine. What belongs to another user is left to that user.
 */
export async function sweepScratch(): Promise<string[]> {
  const place = scratchPlace()
  const names = existsSync(place) ? readdirSync(place).filter(name => name.startsWith(prefix)) : []
  const folders = new Set(names.map(name => join(place, name.replace(/\.claim$/, ''))))
  const swept: string[] = []
  for (const folder of folders) {
    if (ownerOf(folder) !== undefined || (isClaimedElsewhere(folder) && Date.now() - lastSign(folder) < patience)) continue
    try {
      const claim = await claimFolder(folder, 'SIGINT', () => undefined)
      // Again and again: an initdb whose parent was killed goes on for a moment.
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
      claim.release()
      swept.push(basename(folder))
    } catch (error) {
      if (!['EACCES', 'EPERM', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  return swept
}
