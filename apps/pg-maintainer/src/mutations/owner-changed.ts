// A table belongs to somebody else.
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

const anyTable = `
  SELECT c.oid, c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema'
     AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
   ORDER BY relrowsecurity, 2
   LIMIT 1`

export const ownerChanged: Mutation = {
  name: 'owner-changed',
  about: 'a table of another owner',
  level: 'database',
  async apply({ pg }) {
    const [table] = await pg.query<{ oid: number; name: string }>(anyTable)
    if (!table) return undefined
    // The privileges stay written as they are: the owner alone is another.
    await plant(
      pg,
      `UPDATE pg_class SET relacl = coalesce(relacl, acldefault('r', relowner)), relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user) WHERE oid = ${table.oid}`,
    )
    return { what: `${table.name} belongs to another role` }
  },
}
