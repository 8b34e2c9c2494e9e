// What a vacuum would work on, and in which state that is: sizes, dead and new rows, age, and from which numbers autovacuum would come by itself.
import { findRelations } from '../relations.ts'
import { showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'
import { partitions } from './partitions.ts'

export interface Measure extends TableName {
  oid: number
  owner: string
  /** Whether our role may vacuum it: to all others the server says success and does nothing. */
  ours: boolean
  /** Of the heap with its TOAST, free space included; as of the last vacuum or analyze. */
  bytes: number
  live: number
  dead: number
  /** Dead rows from which autovacuum would come. */
  threshold: number
  /** Rows that came since the last vacuum. */
  inserted: number
  /** Those from which autovacuum would come; null where that is switched off. */
  insertThreshold: number | null
  /** How many transactions ago its oldest row was written that is not frozen, its TOAST included; and the same in multixacts. */
  age: number
  mxidAge: number
  /** Ages at which autovacuum comes whatever is switched off. */
  freezeMax: number
  mxidFreezeMax: number
  lastVacuum: Date | null
  isCatalog: boolean
}

export interface Survey {
  tables: Measure[]
  /** Partitioned tables: they have no rows of their own to vacuum, but statistics to gather. */
  parents: TableName[]
  /** Partitions that live on another server. */
  foreign: string[]
}

// The formulas of autovacuum (its documentation, "The Autovacuum Daemon", and relation_needs_vacanalyze in its source); storage parameters of
// a table win over settings, of the freeze ages the lower one counts. -1 switches the upper limit of PostgreSQL 18 off, and the count of new
// rows. What 18 takes off from that count for pages that are frozen already is left out: we come a little later than it would.
// The statistics are asked by function, row by row: their view joins and groups all tables of the database first. Nothing here opens a table,
// as pg_table_size does: one that a migration has locked would stop the survey of all.
const measured = `
  SELECT c.oid, nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
         pg_has_role(c.relowner, 'USAGE')
           OR (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database())
           OR CASE WHEN current_setting('server_version_num')::int >= 170000 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END AS ours,
         (c.relpages + coalesce(t.relpages, 0)) * current_setting('block_size')::float8 AS bytes,
         coalesce(pg_stat_get_live_tuples(c.oid), 0)::float8 AS live, coalesce(pg_stat_get_dead_tuples(c.oid), 0)::float8 AS dead,
         least(coalesce(o.base, current_setting('autovacuum_vacuum_threshold')::float8)
                 + coalesce(o.scale, current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(c.reltuples, 0),
               nullif(coalesce(o.most, current_setting('autovacuum_vacuum_max_threshold', true)::float8), -1)) AS threshold,
         coalesce(pg_stat_get_ins_since_vacuum(c.oid), 0)::float8 AS inserted,
         nullif(coalesce(o.insert_base, current_setting('autovacuum_vacuum_insert_threshold')::float8), -1)
           + coalesce(o.insert_scale, current_setting('autovacuum_vacuum_insert_scale_factor')::float8) * greatest(c.reltuples, 0) AS "insertThreshold",
         greatest(age(c.relfrozenxid), age(t.relfrozenxid)) AS age,
         greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) AS "mxidAge",
         least(o.freeze, current_setting('autovacuum_freeze_max_age')::float8) AS "freezeMax",
         least(o.mxid_freeze, current_setting('autovacuum_multixact_freeze_max_age')::float8) AS "mxidFreezeMax",
         pg_stat_get_last_vacuum_time(c.oid) AS "lastVacuum", nspname = 'pg_catalog' AS "isCatalog"
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
   CROSS JOIN LATERAL (
     SELECT max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS base,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS scale,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold') AS most,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_insert_threshold') AS insert_base,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_insert_scale_factor') AS insert_scale,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_freeze_max_age') AS freeze,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_multixact_freeze_max_age') AS mxid_freeze
       FROM pg_options_to_table(c.reloptions)) AS o`

const measureTables = `${measured}
   JOIN unnest($1::oid[]) WITH ORDINALITY AS asked (oid, place) ON asked.oid = c.oid
   ORDER BY place`

// Temporary tables are their session's; system catalogs are left to autovacuum, which cannot be switched off for what matters there.
const measureNeedy = `
  WITH measured AS MATERIALIZED (${measured}
     WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema')
  SELECT *
    FROM measured
   WHERE dead > threshold OR inserted > "insertThreshold" OR age > $1 * "freezeMax" OR "mxidAge" > $1 * "mxidFreezeMax"`

const sizeOf = `SELECT pg_table_size($1::oid)::float8 AS bytes`

/** Of the heap with its TOAST, as it is on the disk now. Waits for whoever has locked the table. */
export const sizeNow = async (pg: Statements, oid: number): Promise<number> => (await pg.query<{ bytes: number }>(sizeOf, [oid]))[0]!.bytes

/** Refused where a name leads to no table; partitioned tables are taken apart. Three queries, however many tables there are. */
export async function survey(pg: Statements, names: readonly string[]): Promise<Survey> {
  const asked = await findRelations(pg, names, ['r', 'm', 'p'])
  const parents = asked.filter(({ kind }) => kind === 'p')
  const leaves = await partitions(pg, parents)
  const parts = asked.flatMap(relation => (relation.kind === 'p' ? (leaves.get(relation.oid) ?? []) : [relation]))
  const here = parts.filter(({ kind }) => kind === 'r' || kind === 'm')
  return {
    tables: await measure(pg, [...new Set(here.map(({ oid }) => oid))]),
    parents,
    foreign: parts.filter(({ kind }) => kind === 'f').map(showTable),
  }
}

/** Numbers of this moment, in the order of `oids`; a table that is gone is left out. */
export const measure = (pg: Statements, oids: number[]) => pg.query<Measure>(measureTables, [oids])

/** The tables of the database that are past a number at which autovacuum would come, of the freeze ages past `freezeShare` of them. One query. */
export const measureAllNeedy = (pg: Statements, freezeShare: number) => pg.query<Measure>(measureNeedy, [freezeShare])
