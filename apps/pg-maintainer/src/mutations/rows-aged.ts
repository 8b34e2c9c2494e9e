// The newest row is older than it was: the table has all its rows, but they are of another day.
import { escapeIdentifier } from 'pg'
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'
import { quoteTable, showTable } from '../table-name.ts'

export const rowsAged: Mutation = {
  name: 'rows-aged',
  about: 'rows that are not the newest',
  level: 'database',
  async apply({ pg, manifest }) {
    const dated = manifest.tables
      .flatMap(({ table, newest }) => Object.entries(newest ?? {}).map(([column, at]) => ({ table, column, at })))
      .find(({ at }) => at !== null)
    if (!dated) return undefined
    const [table, column] = [quoteTable(dated.table), escapeIdentifier(dated.column)]
    await plant(
      pg,
      `UPDATE ONLY ${table} SET ${column} = ${column} - interval '1 day' WHERE ${column} = (SELECT max(${column}) FROM ONLY ${table})`,
    )
    return { what: `the newest ${dated.column} of ${showTable(dated.table)} is set back by a day` }
  },
}
