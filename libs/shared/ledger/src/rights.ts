// What the role of this session may do in the ledger: whether that is enough for a service, and whether it is more than a service needs.
import type { Queryable } from './ledger.ts'

// Rows of these are read only: migrations and the name of the installation are the owner's.
const missing = `
  select p.privilege || ' on ' || c.relname as what
  from pg_class c cross join unnest(array['select', 'insert', 'update', 'delete']) as p (privilege)
  where c.relnamespace = 'dbops'::regnamespace and c.relkind = 'r' and (p.privilege = 'select' or c.relname not in ('migrations', 'installation'))
    and not has_table_privilege(c.oid, p.privilege)
  union all
  select 'usage on ' || c.relname from pg_class c
  where c.relnamespace = 'dbops'::regnamespace and c.relkind = 'S' and c.relname = 'fences' and not has_sequence_privilege(c.oid, 'usage')
  order by 1`
const excess = `
  select what from pg_roles r cross join lateral (values
    (r.rolsuper, 'superuser'), (r.rolcreaterole and not r.rolsuper, 'createrole'), (r.rolcreatedb and not r.rolsuper, 'createdb'),
    (r.rolreplication and not r.rolsuper, 'replication'), (r.rolbypassrls and not r.rolsuper, 'bypassrls'),
    (not r.rolsuper and pg_has_role(r.oid, (select relowner from pg_class where oid = 'dbops.runs'::regclass), 'usage'), 'ownership of the tables')
  ) as has (it, what) where r.rolname = current_user and it`

export interface Rights {
  /** What a service needs and this role may not; empty: it can do its job. */
  missing: string[]
  /** What it could do without. */
  excess: string[]
}
export const rightsHere = async (db: Queryable): Promise<Rights> => ({
  missing: (await db.query<{ what: string }>(missing)).rows.map(({ what }) => what),
  excess: (await db.query<{ what: string }>(excess)).rows.map(({ what }) => what),
})

/** Gives the group of this ledger's services its rights. Its name; null where it is not there and this role may not make it. */
export const grantServices = async (db: Queryable): Promise<string | null> =>
  (await db.query<{ name: string | null }>('select grant_services() as name')).rows[0]!.name
