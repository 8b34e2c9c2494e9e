// How large the ledger is, and what it has been through.
import type { Queryable } from './ledger.ts'

export interface TableSize {
  table: string
  /** As the statistics say. */
  rows: number
  bytes: number
}
const sizes = `
  select c.relname as table, greatest(coalesce(s.n_live_tup, 0), 0)::float8 as rows, pg_total_relation_size(c.oid)::float8 as bytes
  from pg_class c left join pg_stat_all_tables s on s.relid = c.oid
  where c.relnamespace = 'dbops'::regnamespace and c.relkind = 'r' order by bytes desc, c.relname`
/** The largest first, with their indexes. */
export const tableSizes = async (db: Queryable): Promise<TableSize[]> => (await db.query<TableSize>(sizes)).rows

const migrated = `select name, applied_at as "appliedAt" from migrations order by name`
export const appliedMigrations = async (db: Queryable) => (await db.query<{ name: string; appliedAt: Date }>(migrated)).rows

// By the key's first column: there are as many sums as there were kinds of runs on each day.
const summed = `select (select day from run_summaries order by day limit 1)::text as "from", (select day from run_summaries order by day desc limit 1)::text as "to"`
/** The days whose runs are summed up; null where there is none yet. */
export const summedUp = async (db: Queryable) => (await db.query<{ from: string; to: string } | { from: null; to: null }>(summed)).rows[0]!

const holders = `select name, holder, until > now() as standing from leases order by name`
export const leaseHolders = async (db: Queryable) => (await db.query<{ name: string; holder: string; standing: boolean }>(holders)).rows

// A dump of this database: its manifest names the server and the database that it was taken from.
const newestDump = `
  select a.id, a.name, a.created_at as "createdAt", a.location, a.verdict from artifacts a
  where a.kind = 'dump' and a.manifest #>> '{server,database}' = current_database() and a.manifest #>> '{server,systemIdentifier}' = $1
  order by a.created_at desc limit 1`
const whoAmI = `select system_identifier::text as id from pg_control_system()`
export const newestDumpOfThis = async (db: Queryable) => {
  const { rows } = await db.query<{ id: string }>(whoAmI)
  return (
    await db.query<{ id: string; name: string; createdAt: Date; location: string; verdict: string | null }>(newestDump, [rows[0]!.id])
  ).rows[0]
}
