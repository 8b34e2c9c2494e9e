// What a vacuum would work on, and in which state that is: sizes, dead rows, and from how many of them autovacuum would come by itself.
import { findRelations, type Relation } from '../relations.ts'
import { showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

export interface Measure extends TableName {
  oid: number
  owner: string
  /** Of the heap with its TOAST, free space included. */
  bytes: number
  live: number
  dead: number
  /** Dead rows from which autovacuum would come. */
  threshold: number
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

const partitionsOf = `
  SELECT relid::oid AS oid, nspname AS schema, relname AS name, relkind AS kind
    FROM pg_partition_tree($1) JOIN pg_class c ON c.oid = relid JOIN pg_namespace n ON n.oid = relnamespace
   WHERE isleaf
   ORDER BY nspname, relname`

// The formula of autovacuum (its documentation, "The Autovacuum Daemon"); storage parameters of a table win over settings, -1 switches the
// upper limit of PostgreSQL 18 off.
const measureTables = `
  SELECT c.oid, nspname AS schema, c.relname AS name, pg_get_userbyid(relowner) AS owner,
         pg_table_size(c.oid)::float8 AS bytes,
         coalesce(n_live_tup, 0)::float8 AS live, coalesce(n_dead_tup, 0)::float8 AS dead,
         least(coalesce(o.base, current_setting('autovacuum_vacuum_threshold')::float8)
                 + coalesce(o.scale, current_setting('autovacuum_vacuum_scale_factor')::float8) * greatest(reltuples, 0),
               nullif(coalesce(o.most, current_setting('autovacuum_vacuum_max_threshold', true)::float8), -1)) AS threshold,
         last_vacuum AS "lastVacuum", nspname = 'pg_catalog' AS "isCatalog"
    FROM unnest($1::oid[]) WITH ORDINALITY AS asked (oid, place)
    JOIN pg_class c ON c.oid = asked.oid
    JOIN pg_namespace n ON n.oid = relnamespace
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
   CROSS JOIN LATERAL (
     SELECT max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold') AS base,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor') AS scale,
            max(option_value::float8) FILTER (WHERE option_name = 'autovacuum_vacuum_max_threshold') AS most
       FROM pg_options_to_table(reloptions)) AS o
   ORDER BY place`

/** Refused where a name leads to no table; partitioned tables are taken apart. */
export async function survey(pg: Statements, names: readonly string[]): Promise<Survey> {
  const asked = await findRelations(pg, names, ['r', 'm', 'p'])
  const parents = asked.filter(({ kind }) => kind === 'p')
  const leaves: Relation[] = []
  const foreign: string[] = []
  for (const relation of asked) {
    const parts = relation.kind === 'p' ? await pg.query<Relation>(partitionsOf, [relation.oid]) : [relation]
    leaves.push(...parts.filter(({ kind }) => kind === 'r' || kind === 'm'))
    foreign.push(...parts.filter(({ kind }) => kind === 'f').map(showTable))
  }
  return { tables: await measure(pg, [...new Set(leaves.map(({ oid }) => oid))]), parents, foreign }
}

/** Numbers of this moment; a table that is gone is left out. */
export const measure = (pg: Statements, oids: number[]) => pg.query<Measure>(measureTables, [oids])
