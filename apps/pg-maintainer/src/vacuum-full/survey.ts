// What a full vacuum would rewrite, how large that is now and afterwards, how long it takes, and what is shut out meanwhile.
import { Refused } from '@dbops/contract/failure'
import { findRelations, listed } from '../relations.ts'
import { showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

export interface Bloated extends TableName {
  oid: number
  owner: string
  /** Whether our role may vacuum it: to all others the server says success and does nothing. */
  ours: boolean
  isSystem: boolean
  /** The file that holds its rows: a rewritten table has another. */
  filenode: number
  /** With TOAST, indexes and free space. */
  bytes: number
  live: number
  dead: number
  /** What its rows and indexes would take when packed; null where it was never analyzed. */
  bytesAfter: number | null
  /** Views on it, and tables whose foreign keys lead to it: they wait too. */
  dependents: string[]
}

// Rows are packed into pages of 8 KiB with 24 bytes for the page, and of a row 4 for its pointer and 24 for its head (the documentation, "Database Page Layout"),
// rounded up to 8. Values that are stored outside count as their pointers, so TOAST keeps its size. Of an index the share of the living rows stays.
const measureTables = `
  SELECT c.oid, n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
         pg_has_role(c.relowner, 'USAGE')
           OR (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
           OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS ours,
         n.nspname ~ '^pg_' OR n.nspname = 'information_schema' AS "isSystem",
         pg_relation_filenode(c.oid) AS filenode, pg_total_relation_size(c.oid)::float8 AS bytes,
         coalesce(pg_stat_get_live_tuples(c.oid), 0)::float8 AS live, coalesce(pg_stat_get_dead_tuples(c.oid), 0)::float8 AS dead,
         least(pg_total_relation_size(c.oid),
               8192 * ceil(rows.living * (28 + 8 * ceil(width.bytes / 8.0)) / (8168 * coalesce(fill.factor, 100) / 100.0))
                 + pg_indexes_size(c.oid) * rows.living / greatest(rows.living + pg_stat_get_dead_tuples(c.oid), 1)
                 + CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(c.reltoastrelid) END)::float8 AS "bytesAfter",
         ARRAY(SELECT format('%I.%I', dn.nspname, d.relname)
                 FROM pg_class d JOIN pg_namespace dn ON dn.oid = d.relnamespace
                WHERE d.oid <> c.oid
                  AND (EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid AND k.conrelid = d.oid)
                    OR EXISTS (SELECT FROM pg_depend p JOIN pg_rewrite r ON r.oid = p.objid
                                WHERE p.classid = 'pg_rewrite'::regclass AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid AND r.ev_class = d.oid))
                ORDER BY 1) AS dependents
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
   CROSS JOIN LATERAL (SELECT CASE WHEN c.reltuples >= 0 THEN sum(avg_width) END AS bytes FROM pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname) AS width
   CROSS JOIN LATERAL (SELECT coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0))::float8 AS living) AS rows
   CROSS JOIN LATERAL (SELECT max(option_value::float8) FILTER (WHERE option_name = 'fillfactor') AS factor FROM pg_options_to_table(c.reloptions)) AS fill
   WHERE c.oid = ANY ($1)
   ORDER BY array_position($1, c.oid)`

/** Numbers of this moment, in the order of `oids`; a table that is gone is left out. */
export const measure = (pg: Statements, oids: number[]) => pg.query<Bloated>(measureTables, [oids])

/**
 * The tables of these names, in this order. Refused: `table_missing`, `not_a_table` (a partitioned table: its partitions are named one by one, since each is
 * shut for itself), `named_twice`, `system_table`, `not_owner`.
 */
export async function survey(pg: Statements, names: readonly string[]): Promise<Bloated[]> {
  const twice = names.find((name, at) => names.indexOf(name) < at)
  if (twice)
    throw new Refused(`${twice} is named twice`, {
      code: 'named_twice',
      hint: 'name each table once: it is shut for as long as its rewriting takes',
    })
  const found = await findRelations(pg, names, ['r', 'm'])
  const tables = await measure(
    pg,
    found.map(({ oid }) => oid),
  )
  const system = tables.filter(({ isSystem }) => isSystem)
  if (system.length)
    throw new Refused(`${listed(system.map(showTable))} ${system.length > 1 ? 'are' : 'is'} of the system itself`, {
      code: 'system_table',
      hint: 'every session needs its catalogs: while one is rewritten nobody can even connect',
    })
  const foreign = tables.filter(({ ours }) => !ours)
  if (foreign.length)
    throw new Refused(
      `the role of this target may not vacuum ${listed(foreign.map(showTable))}: the server would say success and do nothing`,
      { code: 'not_owner', hint: `GRANT ${[...new Set(foreign.map(({ owner }) => owner))].join(', ')} to the role of this target` },
    )
  return tables
}

/** Bytes of a second that are read, written and indexed anew: what a slow network disk does (gp2 of 100 GiB: 128 MiB/s in bursts, a fifth of it sorted indexes and WAL left). */
const bytesPerSecond = 25 * 2 ** 20
/** Seconds that each table takes at least, its lock included. */
const leastSeconds = 10

/** How long the rewriting of these takes, in seconds. */
export const forecastOf = (tables: Pick<Bloated, 'bytes'>[]): number =>
  tables.reduce((sum, { bytes }) => sum + leastSeconds + Math.ceil(bytes / bytesPerSecond), 0)
export const forecastFrom = `each table ${leastSeconds} s, and its bytes with their indexes at ${bytesPerSecond / 2 ** 20} MiB/s`

const classes = [64 * 2 ** 20, 2 ** 30, 16 * 2 ** 30, 256 * 2 ** 30] as const
/** The size that an approver decides on, in steps: rows come and go between the plan and the work. */
export function sizeClass(bytes: number): string {
  const most = classes.find(limit => bytes <= limit)
  if (most === undefined) return 'more than 256 GiB'
  return `at most ${most < 2 ** 30 ? `${most / 2 ** 20} MiB` : `${most / 2 ** 30} GiB`}`
}
