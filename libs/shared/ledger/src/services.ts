// The processes of the system, as each of them reports itself with its heartbeat.
import type { Queryable } from './ledger.ts'

export interface ServiceRow {
  name: string
  app: string
  version: string
  catalogHash: string
  configHash: string
  address: string | null
  startedAt: Date
  seenAt: Date
  ready: boolean
  reasons: string[]
  detail: Record<string, unknown>
  /** Seconds since it was last heard of, by the ledger's clock. */
  age: number
}

const upsert = `
  insert into services (name, app, version, catalog_hash, config_hash, address, ready, reasons, detail) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  on conflict (name) do update set seen_at = now(), address = excluded.address, ready = excluded.ready, reasons = excluded.reasons, detail = excluded.detail`

export const reportService = (
  db: Queryable,
  s: Pick<ServiceRow, 'name' | 'app' | 'version' | 'catalogHash' | 'configHash' | 'address' | 'ready' | 'reasons' | 'detail'>,
) => db.query(upsert, [s.name, s.app, s.version, s.catalogHash, s.configHash, s.address, s.ready, JSON.stringify(s.reasons), s.detail])

export const leaveService = (db: Queryable, name: string) => db.query('delete from services where name = $1', [name])

/** Those heard of within `withinMs`, by app. */
export const listServices = async (db: Queryable, withinMs: number): Promise<ServiceRow[]> =>
  (
    await db.query<ServiceRow>(
      `select name, app, version, catalog_hash as "catalogHash", config_hash as "configHash", address, started_at as "startedAt", seen_at as "seenAt", ready, reasons, detail,
              extract(epoch from now() - seen_at)::float as age
       from services where seen_at > now() - $1 * interval '1 ms' order by app, name`,
      [withinMs],
    )
  ).rows

const told = `select detail ->> 'environment' as environment from services where detail ? 'environment' order by seen_at desc limit 1`
/** The environment of this ledger, in the words of the service that was heard of last; undefined where none has ever said it. */
export const environmentTold = async (db: Queryable): Promise<string | undefined> =>
  (await db.query<{ environment: string }>(told)).rows[0]?.environment

export const sweepServices = (db: Queryable) => db.query(`delete from services where seen_at < now() - interval '1 day'`)
