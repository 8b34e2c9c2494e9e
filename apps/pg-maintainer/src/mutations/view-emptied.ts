// A materialized view is populated, with nothing.
import { escapeLiteral } from 'pg'
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'
import { quoteTable, showTable } from '../table-name.ts'

export const viewEmptied: Mutation = {
  name: 'view-emptied',
  about: 'a view without its rows',
  level: 'database',
  async apply({ pg, manifest }) {
    const filled = manifest.facts.views.find(({ populated, restorable, empty }) => populated && restorable && empty === false)
    if (!filled) return undefined
    const view = quoteTable(filled.view)
    const become = (kind: 'r' | 'm', rules: boolean) =>
      `UPDATE pg_class SET relkind = '${kind}', relhasrules = ${rules} WHERE oid = ${escapeLiteral(view)}::regclass`
    // Nobody may delete from a view; for a moment it is a table.
    await plant(pg, become('r', false), `DELETE FROM ${view}`, become('m', true))
    return { what: `${showTable(filled.view)} has no rows` }
  },
}
