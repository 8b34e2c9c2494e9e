// The planner knows the tables: a restored database has no statistics until somebody makes them.
import { type Check, type Copy, plant } from '../restore/check.ts'

const withoutStatistics = `
  SELECT format('%I.%I', nspname, relname) AS name, reltuples < 0 AS never
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
     AND (relkind = 'r' OR relispopulated)
     AND (reltuples < 0 OR reltuples > 0 AND relnatts > 0 AND NOT EXISTS (SELECT FROM pg_statistic WHERE starelid = c.oid))
   ORDER BY 1`

export const statistics: Check = {
  name: 'statistics',
  about: 'every table was analyzed',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(copy.pg, 'CREATE SCHEMA dbops_control', 'CREATE TABLE dbops_control.unknown AS SELECT 1 AS one')
    return look(copy)
  },
}

async function look({ pg }: Copy): Promise<string[]> {
  const found = await pg.query<{ name: string; never: boolean }>(withoutStatistics)
  return found.map(({ name, never }) => (never ? `${name} was never analyzed` : `${name} has rows and no statistics`))
}
