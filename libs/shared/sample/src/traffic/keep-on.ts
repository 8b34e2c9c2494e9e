// A connection of one of the platform's services and what it does on it, again and again: through restarts of the server, until the stop.
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'

export interface Service {
  databaseUrl: string
  /** As pg_stat_activity shows it, and pools match it. */
  name: string
  signal: AbortSignal
  /** Told once for each reason, when the database is away. */
  say: (line: string) => void
}

/** In ms; before the next try, when the database is away. */
const pause = 1_000

/** Calls `turn` until the signal aborts; it says how long to wait before the next call, in ms. What it throws ends the connection, and there is a new one. */
export async function keepOn({ databaseUrl, name, signal, say }: Service, turn: (db: Client) => Promise<number>): Promise<void> {
  let told = ''
  while (!signal.aborted) {
    const db = new Client({ connectionString: databaseUrl, application_name: name, connectionTimeoutMillis: 5_000, query_timeout: 30_000 })
    // A connection lost between two statements: the next statement says so.
    db.on('error', () => undefined)
    try {
      await db.connect()
      told = ''
      while (!signal.aborted) await wait(await turn(db), undefined, { signal })
    } catch (error) {
      if (!signal.aborted && told !== (error as Error).message) say(`${name}: ${(told = (error as Error).message)}`)
    }
    await Promise.race([db.end().catch(() => undefined), wait(1_000, undefined, { ref: false })])
    await wait(pause, undefined, { signal }).catch(() => undefined)
  }
}

/** One transaction as a service does it: as one tenant, which row level security then lets in. */
export async function asTenant<T>(db: Client, tenant: string, work: () => Promise<T>): Promise<T> {
  await db.query('BEGIN')
  try {
    await db.query(`SELECT set_config('app.current_tenant_id', $1, true)`, [tenant])
    const result = await work()
    await db.query('COMMIT')
    return result
  } catch (error) {
    await db.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}
