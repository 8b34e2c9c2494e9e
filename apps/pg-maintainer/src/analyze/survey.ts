// Which tables an ANALYZE would be for, how much has changed in them since the last one, and from how much on autovacuum would come.
import { findRelations } from '../relations.ts'
import type { TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

export interface Statistics extends TableName {
  oid: number
  /** pg_class.relkind: r, m or p. */
  kind: string
  owner: string
  /** Whether our role may analyze it: to all others the server says success and does nothing. */
  ours: boolean
  /** As the planner believes, where it believes anything. */
  rows: number
  /** Rows that changed since the last ANALYZE; of a partitioned table estimated from its partitions. */
  changed: number
  /** Changed rows from which autovacuum would come. */
  threshold: number
  needy: boolean
  /** By hand, by us or by autovacuum. */
  lastAnalyze: Date | null
  /** Not by autovacuum. */
  lastByHand: Date | null
  /** Of a partitioned table: the partitions with rows, which its ANALYZE goes through as well. */
  leaves: number[]
}

// The formula of autovacuum (its documentation, "The Autovacuum Daemon"); storage parameters of a table win over settings. A table whose
// counters a crash has taken counts as never analyzed: autovacuum is blind for it until somebody does it.
// A partitioned table is analyzed by nobody unasked, and the server counts no changes of it. What changed is the rows of partitions that need
// it now or for which autovacuum came since, and the rows by which all of them together have grown or shrunk. When a partition was last
// analyzed by hand says nothing: that of the whole goes through its partitions after itself.
// Nothing here opens a table, as pg_relation_size does: one that a migration has locked would stop the survey of all.
// $1: the tables that were named; null: those that need it, system catalogs and temporary tables left out.
const measured = `
  WITH tables AS MATERIALIZED (
    SELECT c.oid, nspname AS schema, c.relname AS name, c.relkind AS kind, c.relispartition, pg_get_userbyid(c.relowner) AS owner,
           pg_has_role(c.relowner, 'USAGE')
             OR (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
             OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS ours,
           CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE coalesce(pg_stat_get_live_tuples(c.oid), 0) END::float8 AS rows,
           coalesce(pg_stat_get_mod_since_analyze(c.oid), 0)::float8 AS changed,
           coalesce(o.base, current_setting('autovacuum_analyze_threshold')::float8) AS base,
           coalesce(o.scale, current_setting('autovacuum_analyze_scale_factor')::float8) AS scale,
           greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)) AS "lastAnalyze",
           c.relpages, pg_stat_get_last_analyze_time(c.oid) AS "lastByHand", pg_stat_get_last_autoanalyze_time(c.oid) AS "lastByItself"
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL (
       SELECT max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_analyze_threshold') AS base,
              max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_analyze_scale_factor') AS scale
         FROM pg_options_to_table(c.reloptions)) AS o
     WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
       AND ($1::oid[] IS NOT NULL OR nspname !~ '^pg_' AND nspname <> 'information_schema')
  ), simple AS (
    SELECT *, base + scale * rows AS threshold,
           changed > base + scale * rows OR "lastAnalyze" IS NULL AND (rows > 0 OR relpages > 0) AS needy
      FROM tables
     WHERE kind <> 'p'
  ), whole AS (
    SELECT p.oid, sum(leaf.rows) AS rows, array_agg(leaf.oid::int8)::float8[] AS leaves, p.base + p.scale * sum(leaf.rows) AS threshold,
           coalesce(sum(leaf.rows) FILTER (WHERE leaf.needy OR leaf."lastByItself" > p."lastAnalyze"), 0) + abs(sum(leaf.rows) - p.rows) AS changed
      FROM tables p
     CROSS JOIN LATERAL pg_partition_tree(p.oid) AS part
      JOIN simple leaf ON leaf.oid = part.relid
     WHERE p.kind = 'p' AND ($1 IS NOT NULL OR NOT p.relispartition)
     GROUP BY p.oid, p.base, p.scale, p.rows
  )
  SELECT oid, schema, name, kind, owner, ours, rows, changed, threshold, needy, "lastAnalyze", "lastByHand", '{}'::float8[] AS leaves
    FROM simple
   WHERE needy AND $1 IS NULL OR oid = ANY ($1)
   UNION ALL
  SELECT p.oid, p.schema, p.name, p.kind, p.owner, p.ours, coalesce(whole.rows, 0), coalesce(whole.changed, 0), coalesce(whole.threshold, p.base),
         coalesce(whole.changed > whole.threshold OR p."lastAnalyze" IS NULL AND whole.rows > 0, false), p."lastAnalyze", p."lastByHand",
         coalesce(whole.leaves, '{}')
    FROM tables p LEFT JOIN whole ON whole.oid = p.oid
   WHERE p.kind = 'p'
     AND (coalesce(whole.changed > whole.threshold OR p."lastAnalyze" IS NULL AND whole.rows > 0, false) AND $1 IS NULL OR p.oid = ANY ($1))`

/** The named tables in their order, partitioned ones whole. Refused where a name leads to no table. Two queries. */
export async function namedTables(pg: Statements, names: readonly string[]): Promise<Statistics[]> {
  const oids = (await findRelations(pg, names, ['r', 'm', 'p'])).map(({ oid }) => oid)
  const found = await byOid(pg, oids)
  return oids.flatMap(oid => found.get(oid) ?? [])
}

/** Numbers of this moment, by oid; a table that is gone is left out. */
export async function byOid(pg: Statements, oids: number[]): Promise<Map<number, Statistics>> {
  return new Map((await pg.query<Statistics>(measured, [oids])).map(table => [table.oid, table]))
}

/** What needs it, the stalest first; partitions that their whole goes through are not listed beside it. One query. */
export async function needyTables(pg: Statements): Promise<Statistics[]> {
  const found = await pg.query<Statistics>(measured, [null])
  const within = new Set(found.flatMap(({ leaves, ours }) => (ours ? leaves : [])))
  return found.filter(({ oid }) => !within.has(oid)).toSorted((a, b) => staleness(b) - staleness(a))
}

const staleness = ({ lastAnalyze, changed, threshold }: Statistics) => (lastAnalyze ? changed / Math.max(threshold, 1) : Infinity)

/** Why, in words with figures in them. Null where nothing is the matter. */
export function whyAnalyze({ needy, lastAnalyze, rows, changed, threshold }: Statistics): string | null {
  if (!needy) return null
  if (!lastAnalyze) return `never analyzed, ${rows > 0 ? `${rows} rows` : 'and it has rows'}`
  return `${changed} rows changed since the last one; autovacuum comes at ${Math.round(threshold)}`
}
