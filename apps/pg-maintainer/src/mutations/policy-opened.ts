// A table with row level security gets one policy more, which lets everybody see all rows.

import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'
import { findTenantTables } from '../restore/tenant-tables.ts'
import { quoteTable, showTable } from '../table-name.ts'

export const policyOpened: Mutation = {
  name: 'policy-opened',
  about: 'a policy that lets everybody through',
  level: 'database',
  async apply({ pg, appRole }) {
    if (appRole === undefined) return undefined
    for (const table of await findTenantTables(pg)) {
      const isEmpty = !(await pg.query(`SELECT FROM ${quoteTable(table)} LIMIT 1`)).length
      if (isEmpty || table.variable === undefined) continue
      await plant(pg, `CREATE POLICY dbops_mutation ON ${quoteTable(table)} USING (true)`)
      return { what: `${showTable(table)} has a policy USING (true)` }
    }
    return undefined
  },
}
