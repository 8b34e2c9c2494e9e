// What a restore needs to know beside the rows: how the database was made, its extensions, roles and policies.
import type { Statements } from '../task.ts'

export interface DatabaseShape {
  encoding: string
  collate: string
  ctype: string
  /** c (libc), i (ICU), b (builtin). */
  provider: string
  locale: string | null
  hasTablespaces: boolean
}

// The column of the ICU locale has another name from version 17 on.
const databaseShape = `
  SELECT pg_encoding_to_char(encoding) AS encoding, datcollate AS collate, datctype AS ctype, datlocprovider AS provider,
         coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale,
         EXISTS (SELECT FROM pg_class WHERE reltablespace NOT IN (0, 1664)) AS "hasTablespaces"
    FROM pg_database d
   WHERE datname = current_database()`
const extensions = `SELECT extname AS name, extversion AS version FROM pg_extension ORDER BY extname`
const roles = `SELECT rolname AS name FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname`
const policies = `
  SELECT format('%s.%s', schemaname, tablename) AS table, policyname AS name
    FROM pg_policies
   ORDER BY 1, 2`

export const readSurroundings = async (pg: Statements) => ({
  shape: (await pg.query<DatabaseShape>(databaseShape))[0]!,
  extensions: await pg.query<{ name: string; version: string }>(extensions),
  roles: (await pg.query<{ name: string }>(roles)).map(({ name }) => name),
  policies: await pg.query<{ table: string; name: string }>(policies),
})
