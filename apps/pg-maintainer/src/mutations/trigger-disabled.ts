// A trigger is there and does not fire: one of the application's, else one behind a foreign key.
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

const anyTrigger = `
  SELECT t.oid, tgname AS name, tgrelid::regclass::text AS of
    FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace
   WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND tgparentid = 0 AND tgenabled = 'O'
     AND (NOT tgisinternal OR tgconstraint <> 0)
     AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
   ORDER BY tgisinternal, 3, 2
   LIMIT 1`

export const triggerDisabled: Mutation = {
  name: 'trigger-disabled',
  about: 'a disabled trigger',
  level: 'database',
  async apply({ pg }) {
    const [trigger] = await pg.query<{ oid: number; name: string; of: string }>(anyTrigger)
    if (!trigger) return undefined
    await plant(pg, `UPDATE pg_trigger SET tgenabled = 'D' WHERE oid = ${trigger.oid}`)
    return { what: `trigger ${trigger.name} of ${trigger.of} is disabled` }
  },
}
