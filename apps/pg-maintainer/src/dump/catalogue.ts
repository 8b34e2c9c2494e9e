// What the catalogue says about everything that a dump would carry. Read in the dump's own snapshot, so that pg_dump sees the same tables.
import type { TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

export interface Table extends TableName {
  oid: number
  /** pg_class.relkind: r, p, m, v, f or S. */
  kind: string
  owner: string
  /** Tables that it inherits from or is a partition of. */
  parents: number[]
  /** Whether the role may read it: SELECT, and USAGE of its schema. */
  readable: boolean
  /** Whether row level security would hide rows from the role. */
  filtered: boolean
  extension: string | null
  /** A table whose rows belong to the user though the extension made it (cron.job). */
  isConfig: boolean
  /** Its columns of a point in time, the first few. */
  times: string[]
}

export interface ForeignKey {
  name: string
  from: number
  to: number
}

export interface View extends TableName {
  oid: number
  populated: boolean
  /** Every relation below it, views taken apart. */
  uses: number[]
}

// Temporary tables are never dumped, nor are the schemas that begin with pg_ (nobody else may use such a name).
const readTables = `
  SELECT c.oid, nspname AS schema, c.relname AS name, relkind AS kind, pg_get_userbyid(relowner) AS owner,
         ARRAY(SELECT inhparent::int8 FROM pg_inherits WHERE inhrelid = c.oid)::float8[] AS parents,
         has_schema_privilege(n.oid, 'USAGE')
           AND CASE relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'SELECT') ELSE has_table_privilege(c.oid, 'SELECT') END AS readable,
         relkind = 'r' AND row_security_active(c.oid) AS filtered,
         extname AS extension, coalesce(c.oid = ANY (extconfig), false) AS "isConfig",
         ARRAY(SELECT attname::text FROM pg_attribute
                WHERE attrelid = c.oid AND relkind = 'r' AND atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype) AND attnum > 0 AND NOT attisdropped
                ORDER BY attnum LIMIT 8) AS times
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
                         AND d.refclassid = 'pg_extension'::regclass AND deptype = 'e'
    LEFT JOIN pg_extension e ON e.oid = refobjid
   WHERE relkind IN ('r', 'p', 'm', 'v', 'f', 'S') AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
   ORDER BY nspname, c.relname`

// A key that refers to a partitioned table has one more row for each partition there: they say the same. A key that was never validated is
// restored so, and checks nothing.
const readForeignKeys = `
  SELECT k.conname AS name, k.conrelid AS from, k.confrelid AS to
    FROM pg_constraint k
   WHERE k.contype = 'f' AND k.convalidated
     AND NOT EXISTS (SELECT FROM pg_constraint whole WHERE whole.oid = k.conparentid AND whole.conrelid = k.conrelid)
   ORDER BY k.conname`

// Rules of a view depend on what it reads. Those that read nothing below them come first; each view reads more than the views it builds on.
const readMaterializedViews = `
  WITH RECURSIVE reads AS (
    SELECT DISTINCT ev_class AS view, refobjid AS uses
      FROM pg_rewrite r
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
     WHERE refobjid <> ev_class
  ), deep AS (
    SELECT view, uses FROM reads
     UNION
    SELECT deep.view, reads.uses FROM deep JOIN reads ON reads.view = deep.uses
  )
  SELECT c.oid, nspname AS schema, relname AS name, relispopulated AS populated,
         array_agg(uses::int8)::float8[] AS uses
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace LEFT JOIN deep ON view = c.oid
   WHERE relkind = 'm'
   GROUP BY c.oid, nspname, relname, relispopulated
   ORDER BY count(uses), nspname, relname`

export interface Catalogue {
  tables: Table[]
  foreignKeys: ForeignKey[]
  views: View[]
}

export const readCatalogue = async (pg: Statements): Promise<Catalogue> => ({
  tables: await pg.query<Table>(readTables),
  foreignKeys: await pg.query<ForeignKey>(readForeignKeys),
  views: await pg.query<View>(readMaterializedViews),
})
