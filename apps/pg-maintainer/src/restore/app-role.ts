// Who the application is: the role that row level security is tried as. A superuser or an owner would see every row and prove nothing.
import type { Statements } from '../task.ts'

// Named in a policy, else one that may read a table with row level security and does not belong to its owner.
const likelyRoles = `
  SELECT rolname::text AS role
    FROM pg_roles r
   WHERE EXISTS (SELECT FROM pg_policy WHERE r.oid = ANY (polroles))
      OR NOT rolsuper AND NOT rolbypassrls AND rolname !~ '^pg_'
         AND EXISTS (SELECT FROM pg_class c WHERE relrowsecurity AND has_table_privilege(r.oid, c.oid, 'SELECT') AND NOT pg_has_role(r.oid, relowner, 'USAGE'))
   ORDER BY EXISTS (SELECT FROM pg_policy WHERE r.oid = ANY (polroles)) DESC, rolcanlogin DESC, rolname
   LIMIT 1`

/** Undefined where the target names none and none can be told from the policies. */
export const findAppRole = async (pg: Statements): Promise<string | undefined> => (await pg.query<{ role: string }>(likelyRoles))[0]?.role
