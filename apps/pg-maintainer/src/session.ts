// One dedicated, direct session that never reconnects: a maintenance statement must not go on in a session that has lost its locks and settings.
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '@dbops/contract/failure'
import type { PgConnection } from '@dbops/runtime/connection'
import { Client, DatabaseError, type QueryConfig } from 'pg'
import { clientConfig, where } from './connect.ts'
import { refuseTransactionPooler } from './direct.ts'
import type { Notice, Statements } from './task.ts'
import { withoutValues } from './without-rows.ts'

export interface ServerSession extends Statements {
  readonly pid: number
  /** Whether the server ends what it does for us when our socket is gone; no operating system but a few can tell it. */
  readonly checksConnection: boolean
  end(): Promise<void>
}

export interface SessionOptions {
  name: string
  settings?: Record<string, string>
  signal?: AbortSignal
  /** Called after the connect and before the first statement. */
  guard?: () => Promise<void>
  onLost?: (error: Error) => void
  /** Milliseconds after which another session looks whether the server has long answered a statement. */
  answerDue?: number
}

/** Milliseconds for which a maintenance session waits for a lock. */
export const lockTimeout = 3_000

// domain.md 5.2. statement_timeout is off because the attempt's own timeout cancels on the server, and knows more than a number.
const settings = {
  row_security: 'off', // a table that would be filtered is an error, instead of fewer rows
  lock_timeout: String(lockTimeout), // whoever waits for a lock makes everybody behind wait too
  statement_timeout: '0',
  idle_in_transaction_session_timeout: '60s',
  idle_session_timeout: '0',
  search_path: 'pg_catalog', // a function or table of the same name elsewhere is never meant
  tcp_keepalives_idle: '30',
  tcp_keepalives_interval: '10',
  tcp_keepalives_count: '3',
}
const applySettings = `SELECT set_config(name, value, false) FROM unnest($1::text[], $2::text[]) AS setting(name, value)`
const checkConnection = `SET client_connection_check_interval = '10s'`
const whoServes = `SELECT pg_backend_pid() AS pid`
const cancelStatement = `SELECT pg_cancel_backend($1)`
/** Since when the server has nothing to do for this session; no row while it has. */
const idleSince = `
  SELECT state_change::text AS since FROM pg_stat_activity WHERE pid = $1 AND application_name = $2 AND state LIKE 'idle%'
  UNION ALL
  SELECT 'gone' WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND application_name = $2)`

/** Connects, asks `guard`, and sets what every maintenance session has. Throws `connection_failed`, or what `guard` throws. */
export async function openSession(connection: PgConnection, options: SessionOptions): Promise<ServerSession> {
  const { name, signal, guard, onLost, answerDue = 15_000 } = options
  signal?.throwIfAborted()
  const client = new Client(clientConfig(connection, name))
  let ended = false
  client.on('error', error => {
    if (!ended) onLost?.(lost(connection, error))
    ended = true
  })
  await connectTo(client, connection, signal)

  let busy = 0
  const ask = async <T>(work: () => Promise<T>): Promise<T> => {
    signal?.throwIfAborted()
    busy++
    const answered = new AbortController()
    void noticeLostAnswer(answered.signal).catch(() => undefined)
    try {
      return await work()
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (error instanceof DatabaseError) error.message = withoutValues(error.message)
      throw error
    } finally {
      busy--
      answered.abort()
    }
  }
  // A proxy or a firewall on the way may keep our end of a connection alive whose other end is gone, and then keepalives find nothing.
  const noticeLostAnswer = async (answered: AbortSignal) => {
    for (let before: string | undefined; ; ) {
      await sleep(answerDue, undefined, { ref: false, signal: answered })
      if (!pid) continue
      const rows = await aside<{ since: string }>(connection, name, idleSince, [pid, name]).catch(() => [])
      if (answered.aborted) return
      const since = rows[0]?.since
      if (since && since === before) {
        socketOf(client).destroy(new Error('the server has answered, and its answer did not come'))
        return
      }
      before = since
    }
  }
  // Again and again: a cancellation that arrives between two statements is lost.
  const cancel = async () => {
    for (;;) {
      if (!busy || ended) return
      await aside(connection, name, cancelStatement, [pid]).catch(() => socketOf(client).destroy())
      await sleep(1_000, undefined, { ref: false })
    }
  }
  const onAbort = () => void cancel()
  let pid = 0
  const session = {
    pid,
    checksConnection: false,
    query: async <Row extends object>(sql: string, values: unknown[] = []) => (await ask(() => client.query<Row>(sql, values))).rows,
    async execute(sql: string) {
      const notices: Notice[] = []
      const hear = ({ code = '', severity = '', message = '' }: { code?: string; severity?: string; message?: string }) =>
        notices.push({ code, severity, message })
      client.on('notice', hear)
      try {
        // The extended protocol takes one statement only: no string can smuggle a second one into its transaction.
        await ask(() => client.query({ text: sql, queryMode: 'extended' } as QueryConfig))
      } finally {
        client.off('notice', hear)
      }
      return notices
    },
    async end() {
      ended = true
      signal?.removeEventListener('abort', onAbort)
      await Promise.race([client.end().catch(() => undefined), sleep(2_000, undefined, { ref: false })])
      socketOf(client).destroy()
    },
  }
  try {
    await guard?.()
    const wanted = Object.entries({ ...settings, ...options.settings })
    await client.query(applySettings, [wanted.map(([key]) => key), wanted.map(([, value]) => value)])
    const { rows } = await client.query<{ pid: number }>(whoServes)
    pid = rows[0]!.pid
    await refuseTransactionPooler(client, connection, name, pid)
    const checksConnection = await client.query(checkConnection).then(
      () => true,
      () => false,
    )
    signal?.throwIfAborted()
    signal?.addEventListener('abort', onAbort, { once: true })
    return Object.assign(session, { pid, checksConnection })
  } catch (error) {
    await session.end()
    throw error
  }
}

async function connectTo(client: Client, connection: PgConnection, signal: AbortSignal | undefined): Promise<void> {
  const giveUp = () => socketOf(client).destroy(signal?.reason as Error)
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    await client.connect()
  } catch (error) {
    socketOf(client).destroy()
    signal?.throwIfAborted()
    throw notConnected(connection, error as Error & { code?: string })
  } finally {
    signal?.removeEventListener('abort', giveUp)
  }
}

/** One statement in a session of its own, which knows of the other one what its own connection cannot tell. */
async function aside<Row extends object>(connection: PgConnection, name: string, sql: string, values: unknown[]): Promise<Row[]> {
  const client = new Client({ ...clientConfig(connection, name), connectionTimeoutMillis: 3_000, query_timeout: 3_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Row>(sql, values)).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}

interface Inside {
  connection: { stream: { destroy(error?: Error): void } }
}
const socketOf = (client: Client) => (client as unknown as Inside).connection.stream

const lost = (connection: PgConnection, error: Error) =>
  new Problem(`the session is lost: ${error.message}`, {
    code: 'connection_lost',
    hint: `${where(connection)} was restarted or cannot be reached, or somebody ended the session; its log says which`,
    cause: error,
  })

const hints: Record<string, string> = {
  ECONNREFUSED: 'is the server running there?',
  ENOTFOUND: 'the host has no address: correct the target, or the name service',
  '28P01': 'the password is wrong: correct the secret of the target',
  '28000': 'pg_hba.conf lets this user in from nowhere, or not without TLS',
  '3D000': 'the database does not exist: correct the target',
  '53300': 'all connections are taken: see who has them in pg_stat_activity',
  '57P03': 'the server is starting up or shutting down',
}
const notConnected = (connection: PgConnection, error: Error & { code?: string }) =>
  new Problem(`${where(connection)} cannot be reached: ${error.message || error.code}`, {
    code: error.code ?? 'connection_failed',
    hint: hints[error.code ?? ''],
    cause: error,
  })
