// The role of the application may see past row level security.
import { escapeIdentifier } from 'pg'
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'
import { findTenantTables } from '../restore/tenant-tables.ts'

export const roleUnbound: Mutation = {
  name: 'role-unbound',
  about: "an application's role that row level security does not bind",
  level: 'database',
  async apply({ pg, appRole }) {
    if (appRole === undefined || !(await findTenantTables(pg)).length) return undefined
    await plant(pg, `ALTER ROLE ${escapeIdentifier(appRole)} BYPASSRLS`)
    return { what: `${appRole} has BYPASSRLS` }
  },
}
