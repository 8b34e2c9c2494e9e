// The scratch server of one attempt, with sessions and client programs that lead into it and nowhere else.
import { Refused } from '@dbops/contract/failure'
import type { PgConnection } from '@dbops/runtime/connection'
import { installedPostgres } from '@dbops/servers/install'
import { type ScratchServer, startScratchPostgres } from '@dbops/servers/scratch-postgres'
import { libpqEnvironment } from '../connect.ts'
import { openSession } from '../session.ts'
import type { ClientProgram, SecondSession, Tool, ToolOptions } from '../task.ts'
import { startTool, toolFor } from '../tool.ts'
import { majorOf } from './dump-manifest.ts'

export interface Scratch extends AsyncDisposable {
  server: ScratchServer
  major: number
  version: string
  open(database: string, settings?: Record<string, string>): Promise<SecondSession>
  /** Refused where it is missing, or older than the server or the program that wrote the dump. */
  tool(program: ClientProgram, args: string[], options?: ToolOptions & { database?: string }): Promise<Tool>
}

export interface ScratchRequest {
  /** As every session of the attempt is named. */
  name: string
  /** Of the folder. */
  folder: string
  /** Of the original server, and of the pg_dump that wrote the dump: `15.18`. */
  version: string
  dumpedBy: string
  signal: AbortSignal
}

const serverVersion = `SELECT current_setting('server_version') AS version`

/** The same major version as the original's where it is installed, else the next newer one. Refused: `server_too_new`. */
export function programFor(version: string, installed = installedPostgres()): { major: number; program: string } {
  const wanted = majorOf(version)
  const chosen = installed.find(({ major }) => major >= wanted)
  if (chosen) return chosen
  const newest = installed.at(-1)
  throw new Refused(
    `the dump is of PostgreSQL ${version}, and ${newest ? `the newest server installed beside this maintainer is ${newest.major}` : 'no server is installed beside this maintainer'}`,
    { code: 'server_too_new', hint: `apt-get install --no-install-recommends postgresql-${wanted}` },
  )
}

export async function startScratch({ name, folder, version, dumpedBy, signal }: ScratchRequest): Promise<Scratch> {
  const { major, program } = programFor(version)
  const server = await startScratchPostgres({ name: folder, program, signal })
  const connection = (database: string): PgConnection => ({
    engine: 'pg',
    host: server.host,
    port: server.port,
    database,
    user: server.user,
    password: server.password,
  })
  // An archive is read by the version that wrote it, or a newer one.
  const reader = dumpedBy && majorOf(dumpedBy) > major ? { major: majorOf(dumpedBy), version: dumpedBy } : { major, version }
  try {
    const open = (database: string, settings: Record<string, string> = {}): Promise<SecondSession> =>
      openSession(connection(database), {
        name,
        signal,
        // Triggers of the application have no business in a copy; nobody waits for our locks.
        settings: {
          session_replication_role: 'replica',
          lock_timeout: '0',
          idle_in_transaction_session_timeout: '0',
          timezone: 'UTC',
          ...settings,
        },
      }).then(session => ({ query: session.query, execute: session.execute, [Symbol.asyncDispose]: () => session.end() }))
    await using session = await open('postgres')
    const [is] = await session.query<{ version: string }>(serverVersion)
    return {
      server,
      major,
      version: is!.version,
      open,
      async tool(wanted, args, { database = 'postgres', ...options } = {}) {
        const { path } = await toolFor(wanted, reader)
        const { env } = libpqEnvironment(connection(database), name, '')
        return startTool(path, args, env, { ...options, signal })
      },
      [Symbol.asyncDispose]: () => server.stop(),
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}
