// One row is gone from a table that has many.

import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'
import { quoteTable, showTable } from '../table-name.ts'

export const rowsRemoved: Mutation = {
  name: 'rows-removed',
  about: 'a missing row',
  level: 'database',
  async apply({ pg, manifest }) {
    const largest = manifest.tables.toSorted((a, b) => b.rows - a.rows)[0]
    if (!largest?.rows) return undefined
    const table = quoteTable(largest.table)
    await plant(pg, `DELETE FROM ONLY ${table} WHERE ctid = (SELECT ctid FROM ONLY ${table} LIMIT 1)`)
    return { what: `one of ${largest.rows} rows of ${showTable(largest.table)} is deleted` }
  },
}
