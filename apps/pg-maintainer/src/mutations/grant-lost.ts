// Somebody may not do any more what they might do.
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

const granted = `
  SELECT c.oid, c.oid::regclass::text AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND relkind IN ('r', 'p', 'v', 'm', 'S')
     AND EXISTS (SELECT FROM aclexplode(relacl) WHERE grantee <> relowner)
     AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
   ORDER BY relrowsecurity, 2
   LIMIT 1`

export const grantLost: Mutation = {
  name: 'grant-lost',
  about: 'a missing privilege',
  level: 'database',
  async apply({ pg }) {
    const [found] = await pg.query<{ oid: number; name: string }>(granted)
    if (!found) return undefined
    await plant(pg, `UPDATE pg_class SET relacl = NULL WHERE oid = ${found.oid}`)
    return { what: `what was granted on ${found.name} is granted no more` }
  },
}
