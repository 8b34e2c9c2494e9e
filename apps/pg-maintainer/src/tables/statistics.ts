// The numbers that the server keeps of its tables: rows living and dead, who was vacuumed and analyzed when, and where autovacuum is off.
import type { Statements } from '../task.ts'

export interface TableNumbers {
  schema: string
  name: string
  live: number
  dead: number
  changedSinceAnalyze: number
  lastVacuum: Date | null
  lastAutovacuum: Date | null
  lastAnalyze: Date | null
  lastAutoanalyze: Date | null
  autovacuumOff: boolean
}

const totals = `
  SELECT count(*)::int AS tables, coalesce(sum(n_dead_tup), 0)::float8 AS dead, coalesce(sum(n_live_tup), 0)::float8 AS live,
         (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS reset
    FROM pg_stat_user_tables`
// The worst, those that are asked for, and those that somebody would have to mend: autovacuum switched off, never analyzed.
const numbers = `
  SELECT schemaname AS schema, s.relname AS name, n_live_tup::float8 AS live, n_dead_tup::float8 AS dead, n_mod_since_analyze::float8 AS "changedSinceAnalyze",
         last_vacuum AS "lastVacuum", last_autovacuum AS "lastAutovacuum", last_analyze AS "lastAnalyze", last_autoanalyze AS "lastAutoanalyze",
         switch.off AS "autovacuumOff"
    FROM pg_stat_user_tables s
    JOIN pg_class c ON c.oid = s.relid
   CROSS JOIN LATERAL (SELECT coalesce(bool_or(option_name = 'autovacuum_enabled' AND option_value IN ('false', 'off', 'no', '0')), false) AS off
                         FROM pg_options_to_table(reloptions)) AS switch
   WHERE relpersistence <> 't'
   ORDER BY (schemaname, s.relname) IN (SELECT * FROM unnest($1::text[], $2::text[])) DESC,
            switch.off DESC, coalesce(last_analyze, last_autoanalyze) IS NULL AND n_live_tup > $3 DESC, n_dead_tup DESC
   LIMIT $4`
const absent = `
  SELECT asked.schema, asked.name
    FROM unnest($1::text[], $2::text[]) AS asked (schema, name)
   WHERE NOT EXISTS (SELECT FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = asked.schema AND relname = asked.name)`

export interface TableStatistics {
  totals: { tables: number; dead: number; live: number; reset: Date | null }
  tables: TableNumbers[]
  absent: { schema: string; name: string }[]
}

/** The `named` tables and the worst `most` beside them; `analyzedFrom` rows a table should have statistics. */
export async function tableStatistics(
  pg: Statements,
  { named, most, analyzedFrom }: { named: { schema: string; name: string }[]; most: number; analyzedFrom: number },
): Promise<TableStatistics> {
  const asked = [named.map(({ schema }) => schema), named.map(({ name }) => name)]
  const [sums] = await pg.query<TableStatistics['totals']>(totals)
  const tables = await pg.query<TableNumbers>(numbers, [...asked, analyzedFrom, most + named.length])
  return { totals: sums!, tables, absent: await pg.query(absent, asked) }
}
