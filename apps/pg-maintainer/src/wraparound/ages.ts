// How far databases and tables are from wraparound: ages of the oldest unfrozen transaction and multixact.
import type { Statements } from '../task.ts'

export interface Ages {
  name: string
  /** Transactions since the oldest that is not frozen; near 2.1e9 the server accepts no more. */
  xids: number
  /** The same of multixacts, made where several transactions lock one row. */
  multixacts: number
}
export interface TableAge {
  schema: string
  name: string
  xids: number
  multixacts: number
  bytes: number
}

// template0 included: the server stops for all when one database is too old.
const databases = `
  SELECT datname AS name, age(datfrozenxid)::float8 AS xids, mxid_age(datminmxid)::float8 AS multixacts
    FROM pg_database
   ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC`
// A table is as old as the older of itself and its TOAST; sizes only of the ten that are shown.
const tables = `
  SELECT nspname AS schema, name, xids, multixacts, pg_table_size(oldest.oid)::float8 AS bytes
    FROM (SELECT c.oid, c.relnamespace, c.relname AS name,
                 greatest(age(c.relfrozenxid), age(t.relfrozenxid))::float8 AS xids,
                 greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid))::float8 AS multixacts
            FROM pg_class c
            LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
           WHERE c.relkind IN ('r', 'm')
           ORDER BY greatest(age(c.relfrozenxid), age(t.relfrozenxid), mxid_age(c.relminmxid), mxid_age(t.relminmxid)) DESC
           LIMIT 10) AS oldest
    JOIN pg_namespace n ON n.oid = relnamespace
   ORDER BY greatest(xids, multixacts) DESC`
const limits = `
  SELECT current_setting('autovacuum_freeze_max_age')::float8 AS xids, current_setting('autovacuum_multixact_freeze_max_age')::float8 AS multixacts`

export async function agesOf(pg: Statements) {
  const [freezeMaxAge] = await pg.query<Omit<Ages, 'name'>>(limits)
  return { freezeMaxAge: freezeMaxAge!, databases: await pg.query<Ages>(databases), tables: await pg.query<TableAge>(tables) }
}

/** The age at which the server stops accepting transactions is 2^31 less a margin of 3 million. */
export const stopsAt = 2 ** 31 - 3_000_000
