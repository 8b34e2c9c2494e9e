// The youngest rows are there: a table can have its number of rows and still be of yesterday.
import { type Check, type Copy, plant } from '../restore/check.ts'
import { measuresOf } from '../restore/measures.ts'
import { showTable } from '../table-name.ts'

export const freshness: Check = {
  name: 'freshness',
  about: 'the newest value of each column of time is the one that the snapshot had',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(copy.pg, 'CREATE SCHEMA dbops_control', `CREATE TABLE dbops_control.fresh AS SELECT '2026-01-01Z'::timestamptz AS at`)
    const fresh = { table: { schema: 'dbops_control', name: 'fresh' }, rows: 1, newest: { at: '2026-01-02T00:00:00.000000Z' } }
    return look({ ...copy, manifest: { ...copy.manifest, tables: [fresh] } })
  },
}

async function look(copy: Copy): Promise<string[]> {
  const found = await measuresOf(copy)
  return copy.manifest.tables.flatMap(({ table, newest = {} }) => {
    const is = found.get(showTable(table))?.newest
    // A table that is not there is told by the counts.
    if (!is) return []
    return Object.entries(newest)
      .filter(([column, at]) => is[column] !== at)
      .map(([column, at]) => `the newest ${column} of ${showTable(table)} is ${is[column] ?? 'nothing'}, not ${at ?? 'nothing'}`)
  })
}
