// The planner knows nothing of a table.
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

const knownTable = `
  SELECT c.oid, c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema' AND reltuples > 0
     AND EXISTS (SELECT FROM pg_statistic WHERE starelid = c.oid)
   ORDER BY 2
   LIMIT 1`

export const statisticsLost: Mutation = {
  name: 'statistics-lost',
  about: 'a table without statistics',
  level: 'database',
  async apply({ pg }) {
    const [table] = await pg.query<{ oid: number; name: string }>(knownTable)
    if (!table) return undefined
    await plant(pg, `DELETE FROM pg_statistic WHERE starelid = ${table.oid}`)
    return { what: `${table.name} has no statistics` }
  },
}
