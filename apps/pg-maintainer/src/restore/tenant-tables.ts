// The tables with row level security, and what their policies say in the form that nearly all have: a column equals a setting of the session.
import type { TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

export interface TenantTable extends TableName {
  oid: number
  /** The setting that says who asks: `app.current_tenant_id`. */
  variable: string | undefined
  /** The column that is compared with it. Undefined where the policies have another form. */
  column: string | undefined
  /** Type of that column. */
  type: string | undefined
}

const protectedTables = `
  SELECT c.oid, nspname AS schema, relname AS name,
         coalesce((SELECT string_agg(concat_ws(' ', pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), ' ') FROM pg_policy WHERE polrelid = c.oid), '') AS says,
         (SELECT json_object_agg(attname, format_type(atttypid, atttypmod)) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS types
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relrowsecurity AND relkind IN ('r', 'p')
   ORDER BY 2, 3`

// As the server writes a policy back: `((tenant_id)::text = current_setting('app.tenant'::text, true))`, with casts and NULLIF around either side.
const setting = String.raw`\(*(?:NULLIF\()?\(*current_setting\('([^']+)'`
const columnFirst = new RegExp(String.raw`"?([\w$]+)"?\)*(?:::[\w ]+)?\)* = ${setting}`)
const settingFirst = new RegExp(String.raw`${setting}[^=]*? = \(*"?([\w$]+)"?`)
const anywhere = /current_setting\('([^']+)'/

interface Row extends TableName {
  oid: number
  says: string
  types: Record<string, string>
}

export async function findTenantTables(pg: Statements): Promise<TenantTable[]> {
  const rows = await pg.query<Row>(protectedTables)
  return rows.map(({ says, types, ...table }) => {
    const [, left, after] = columnFirst.exec(says) ?? []
    const [, before, right] = settingFirst.exec(says) ?? []
    const column = [left, right].find(name => name !== undefined && name in types)
    const variable = (column === left ? after : before) ?? anywhere.exec(says)?.[1]
    return { ...table, variable, column, type: column === undefined ? undefined : types[column] }
  })
}
