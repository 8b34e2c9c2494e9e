// Every table has the rows that the dump's own snapshot had.
import { type Check, type Copy, plant } from '../restore/check.ts'
import { measuresOf } from '../restore/measures.ts'
import { showTable } from '../table-name.ts'

export const counts: Check = {
  name: 'counts',
  about: 'every dumped table has exactly the rows that were counted in its snapshot',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(
      copy.pg,
      'CREATE SCHEMA dbops_control',
      'CREATE TABLE dbops_control.counted AS SELECT FROM generate_series(1, 2)',
      'DELETE FROM dbops_control.counted WHERE ctid = (SELECT min(ctid) FROM dbops_control.counted)',
    )
    return look({ ...copy, manifest: { ...copy.manifest, tables: [{ table: { schema: 'dbops_control', name: 'counted' }, rows: 2 }] } })
  },
}

async function look(copy: Copy): Promise<string[]> {
  const found = await measuresOf(copy)
  return copy.manifest.tables.flatMap(({ table, rows }) => {
    const is = found.get(showTable(table))
    if (!is) return [`${showTable(table)} is not in the copy; it had ${rows} rows`]
    return is.rows === rows ? [] : [`${showTable(table)} has ${is.rows} rows, not ${rows}`]
  })
}
