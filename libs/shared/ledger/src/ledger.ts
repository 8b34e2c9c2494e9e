// The connection to the ledger: a small pool for statements, one session that listens, migrations at the start. The nouns live in files of their own.
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientConfig, Pool, types as parsers, type QueryConfig, type QueryResult } from 'pg'
import { migrate } from './migrate.ts'

// Our bigints (fences, orders, sizes) stay far below 2^53, so they are plain numbers here. Set per client: the maintained databases keep pg's defaults.
const types = {
  getTypeParser: ((oid: number, format?: 'text') =>
    oid === parsers.builtins.INT8 ? Number : parsers.getTypeParser(oid, format)) as typeof parsers.getTypeParser,
}

export interface Queryable {
  query<Row extends object = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<{ rows: Row[]; rowCount: number | null }>
}

export const channels = ['dbops_command', 'dbops_answer', 'dbops_queued', 'dbops_cancel', 'dbops_outbox'] as const
export type Channel = (typeof channels)[number]

export interface Ledger extends Queryable {
  readonly installation: string
  /** The names of the migrations that were applied as it was opened. */
  readonly migrated: readonly string[]
  /** Runs `work` in one transaction: committed when it returns, rolled back when it throws. */
  transaction<T>(work: (db: Queryable) => Promise<T>): Promise<T>
  /** Calls `heard` for every notification on `channel`, and once after each reconnect, since some may have been missed. Returns the way to stop. */
  listen(channel: Channel, heard: (payload: string) => void): () => void
  /** For heartbeats: beside the pool, in the session that listens, so that nothing waits in front of them. Fails after `answerWithin`, and the next one finds another session. */
  readonly apart: Queryable
  /** How many callers wait for a session at this moment. */
  readonly waiting: number
  /** The ledger's clock; in a transaction `clockOf`. */
  now(): Promise<Date>
  close(): Promise<void>
}

export interface LedgerOptions {
  url: string
  /** Shown in pg_stat_activity: the service's name. */
  name: string
  /** Sessions beside the listening one; two by default (performance.md: at most 3 a service). */
  sessions?: number
  /** How long a transaction may stand between two statements, in ms; 10 s by default. The locks of a process that sleeps there would be waited for by everybody. */
  patience?: number
  /** How long a statement of `apart` may take, in ms: of one heartbeat, so that a lease outlives a route that is lost without a word. */
  answerWithin?: number
  migrations?: 'apply' | 'expect'
  signal?: AbortSignal
  /** Told once for each reason while the ledger cannot be reached. */
  onWait?: (reason: Error) => void
}

/** Connects, waits while the server is away (until `signal`), and brings the schema up to date. */
export async function openLedger({
  url,
  name,
  sessions = 2,
  patience = 10_000,
  answerWithin = 5_000,
  migrations = 'apply',
  signal,
  onWait,
}: LedgerOptions): Promise<Ledger> {
  const settings = {
    connectionString: url,
    application_name: `dbops:${name}`,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    // What is asked for is recent and lies together, and small: an index costs less than the default says, and no statement is worth a second process.
    options: '-c search_path=dbops -c timezone=UTC -c random_page_cost=1.1 -c max_parallel_workers_per_gather=0',
    types,
  }
  // What waits for a lock longer than its asker (30 s) is ended by the server too, or it would do later what nobody waits for any more.
  const limits = `-c statement_timeout=35s -c idle_in_transaction_session_timeout=${patience}`
  // In a pipeline a statement is sent without waiting for the answer to the one before it, where the caller does not wait either.
  const pool = new Pool({
    ...settings,
    options: `${settings.options} ${limits}`,
    max: sessions,
    idleTimeoutMillis: 60_000,
    query_timeout: 30_000,
    pipeline: true,
  })
  pool.on('error', () => undefined) // an idle session that breaks is replaced by the next query
  let told = ''
  let installation: string
  let migrated: string[]
  for (;;) {
    try {
      migrated = await migrate(settings, migrations)
      installation = (await pool.query<{ id: string }>('select id from installation')).rows[0]!.id
      break
    } catch (error) {
      if (!isConnectionProblem(error) || !onWait) throw error
      if (told !== (error as Error).message) onWait(error as Error)
      told = (error as Error).message
      await sleep(1_000, undefined, { signal })
    }
  }
  const ears = new Ears(settings)
  const briefly = <Row extends object>(sql: string, values?: unknown[]) => {
    const statement = { ...prepared(sql, values), query_timeout: answerWithin }
    // While there is no session that listens, one of the pool's; but not in a queue behind statements that wait for an answer themselves.
    return (ears.ask<Row>(statement) ?? within(answerWithin, pool.query(statement))) as Promise<{ rows: Row[]; rowCount: number | null }>
  }
  return {
    installation,
    migrated,
    query: (sql, values) => pool.query(prepared(sql, values)) as never,
    apart: { query: briefly },
    get waiting() {
      return pool.waitingCount
    },
    listen: (channel, heard) => ears.listen(channel, heard),
    now: () => clockOf(pool),
    close: async () => {
      await ears.close()
      await Promise.race([pool.end(), sleep(3_000, undefined, { ref: false })])
    },
    async transaction(work) {
      const client = await pool.connect()
      let broken: Error | undefined
      // The pool listens only to those that nobody has taken out: a session that ends between two statements would end the process. The next statement says it.
      const onError = (error: Error) => (broken = error)
      client.on('error', onError)
      try {
        const [, result] = await Promise.all([
          client.query('begin'),
          work({ query: (sql, values) => client.query(prepared(sql, values)) as never }),
        ])
        await client.query('commit')
        return result
      } catch (error) {
        // A session that gave no answer in time may still carry out what is on its way in it: it is ended, and nobody gets it after us.
        if (isConnectionProblem(error)) broken = error as Error
        else await client.query('rollback').catch((reason: Error) => (broken = reason))
        throw error
      } finally {
        client.off('error', onError)
        client.release(broken)
      }
    },
  }
}

/** The ledger's clock, asked in the session of a transaction: one that waited for a second session could wait for ever, for its like. */
export const clockOf = async (db: Queryable): Promise<Date> =>
  (await db.query<{ now: Date }>('select clock_timestamp() as now')).rows[0]!.now

// A statement with values is prepared once per session, under a name of its own: planning these takes several times as long as running them. Their texts are
// constants, so a session keeps as many plans as there are statements in this package.
const names = new Map<string, string>()
function prepared(text: string, values?: unknown[]): QueryConfig {
  if (!values) return { text }
  let name = names.get(text)
  if (!name) names.set(text, (name = createHash('sha256').update(text).digest('base64url').slice(0, 16)))
  return { name, text, values }
}

/** What `work` gives, if it does within `ms`. It is not ended: what it does later must do no harm. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const over = new AbortController()
  try {
    const late = sleep(ms, undefined, { ref: false, signal: over.signal }).then(() => {
      throw new Error('timeout exceeded when trying to connect to the ledger')
    })
    return await Promise.race([work, late])
  } finally {
    over.abort()
    work.catch(() => undefined)
  }
}

/** True when the ledger could not be reached or went away: wait and try again; anything else is a real error. */
export function isConnectionProblem(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isConnectionProblem)
  const { code = '', message = '' } = error as { code?: string; message?: string }
  return (
    /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH)/.test(code) ||
    /^(08|57P0[123]|53300|25P03|25006)/.test(code) ||
    /Connection terminated|connection timeout|Query read timeout|timeout expired|timeout exceeded when trying to connect|Client has encountered a connection error|not queryable|socket hang up/i.test(
      message,
    )
  )
}

/** One session for LISTEN, which comes back by itself. */
class Ears {
  readonly #settings: ClientConfig
  readonly #heard = new Map<Channel, Set<(payload: string) => void>>()
  #client: Client | undefined
  #running: Promise<void> | undefined
  #closed = false
  #wake: () => void = () => undefined

  constructor(settings: ClientConfig) {
    this.#settings = settings
  }

  listen(channel: Channel, heard: (payload: string) => void): () => void {
    const all = this.#heard.get(channel) ?? new Set()
    this.#heard.set(channel, all.add(heard))
    if (!this.#running) this.#running = this.#run()
    else void this.#client?.query(`listen ${channel}`).catch(() => undefined)
    return () => all.delete(heard)
  }

  /** A statement in the session that listens; undefined while there is none. One that gets no answer ends it: it comes back as a new one. */
  ask<Row extends object>(statement: QueryConfig): Promise<QueryResult<Row>> | undefined {
    const wake = this.#wake
    return this.#client?.query<Row>(statement).catch((error: Error) => {
      if (isConnectionProblem(error)) wake()
      throw error
    })
  }

  async #run() {
    while (!this.#closed) {
      const client = new Client({ ...this.#settings, pipeline: true })
      const gone = new Promise<void>(resolve => {
        // Every one of them: an error of a session that nobody listens to would end the process, and there may be a second one.
        client.on('error', () => resolve())
        client.once('end', () => resolve())
        this.#wake = resolve
      })
      client.on('notification', ({ channel, payload }) => {
        for (const heard of this.#heard.get(channel as Channel) ?? []) heard(payload ?? '')
      })
      try {
        await client.connect()
        this.#client = client
        for (const channel of this.#heard.keys()) await client.query(`listen ${channel}`)
        for (const all of this.#heard.values()) for (const heard of all) heard('')
        await gone
      } catch {
        // the ledger is away: its users say so; here it is only tried again
      }
      this.#client = undefined
      await Promise.race([client.end().catch(() => undefined), sleep(1_000, undefined, { ref: false })]) // a frozen server says no goodbye
      if (!this.#closed) await sleep(500, undefined, { ref: false })
    }
  }

  async close() {
    this.#closed = true
    this.#wake()
    await Promise.race([this.#running ?? Promise.resolve(), sleep(1_000, undefined, { ref: false })])
  }
}

const describe = `
  select current_setting('server_version') as server, pg_size_pretty(pg_database_size(current_database())) as bytes,
         (select count(*)::int from migrations) as migrations`
/** For people: the server's version, the size of the database, how many migrations it has had. */
export const describeLedger = async (db: Queryable) =>
  (await db.query<{ server: string; bytes: string; migrations: number }>(describe)).rows[0]!
