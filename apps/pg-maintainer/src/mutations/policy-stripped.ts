// A policy is gone from its table.
import { escapeIdentifier } from 'pg'
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'
import { quoteTable, showTable, type TableName } from '../table-name.ts'

const anyPolicy = `SELECT schemaname AS schema, tablename AS name, policyname AS policy FROM pg_policies ORDER BY 1, 2, 3 LIMIT 1`

export const policyStripped: Mutation = {
  name: 'policy-stripped',
  about: 'a missing policy',
  level: 'database',
  async apply({ pg }) {
    const [found] = await pg.query<TableName & { policy: string }>(anyPolicy)
    if (!found) return undefined
    await plant(pg, `DROP POLICY ${escapeIdentifier(found.policy)} ON ${quoteTable(found)}`)
    return { what: `policy ${found.policy} of ${showTable(found)} is dropped` }
  },
}
