// Row level security, by what it does: as the role of the application each tenant sees its own rows, moves none to another, and nobody sees any unasked.
import { escapeIdentifier } from 'pg'
import { readAllRelations } from '../dump/structure.ts'
import { type Check, type Copy, NotChecked, plant } from '../restore/check.ts'
import { differences, relationNames } from '../restore/compare.ts'
import { unlessOwnTrouble } from '../restore/own-trouble.ts'
import { findTenantTables, type TenantTable } from '../restore/tenant-tables.ts'
import { quoteTable, showTable } from '../table-name.ts'
import type { Statements } from '../task.ts'

const policiesHere = `SELECT format('%s.%s', schemaname, tablename) AS "table", policyname AS name FROM pg_policies`
const roleHere = `SELECT rolsuper AS super, rolbypassrls AS bypasses FROM pg_roles WHERE rolname = $1`
const mayDo = `
  SELECT has_schema_privilege($1, nspname, 'USAGE') AND has_table_privilege($1, c.oid, 'SELECT') AS reads,
         CASE WHEN $3::text IS NOT NULL THEN has_column_privilege($1, c.oid, $3, 'UPDATE') END AS moves
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE c.oid = $2`
const isBound = `SELECT row_security_active($1::oid) AS bound`

export const rowSecurity: Check = {
  name: 'row-security',
  about: 'policies are there, and as the application each tenant sees its own rows and no other',
  level: 'database',
  async check(copy) {
    const tables = await findTenantTables(copy.pg)
    const faults = await missing(copy)
    if (!tables.length) return faults
    if (copy.appRole === undefined) {
      if (faults.length) return faults
      throw new NotChecked(
        `nobody knows the role of the application: set appRole of the target (${tables.length} tables have row level security)`,
      )
    }
    const role = await roleFaults(copy.pg, copy.appRole)
    if (role.length) return [...faults, ...role]
    for (const table of tables) faults.push(...(await tryTable(copy, copy.appRole, table)))
    return faults
  },
  async control(copy) {
    const role = copy.appRole ?? 'dbops_control'
    const { pg } = copy
    if (copy.appRole === undefined) await plant(pg, 'CREATE ROLE dbops_control')
    else if ((await roleFaults(pg, role)).length) return roleFaults(pg, role)
    await plant(
      pg,
      'CREATE SCHEMA dbops_control',
      `CREATE TABLE dbops_control.tenants AS SELECT * FROM (VALUES ('a'), ('b')) AS rows (tenant)`,
      'ALTER TABLE dbops_control.tenants ENABLE ROW LEVEL SECURITY',
      // Looks like one, and lets everybody through.
      `CREATE POLICY leaks ON dbops_control.tenants USING (tenant = current_setting('dbops.control', true) OR true)`,
      `GRANT USAGE ON SCHEMA dbops_control TO ${escapeIdentifier(role)}`,
      `GRANT SELECT, UPDATE ON dbops_control.tenants TO ${escapeIdentifier(role)}`,
    )
    const planted = (await findTenantTables(pg)).find(({ schema }) => schema === 'dbops_control')
    return tryTable(copy, role, planted!)
  },
}

/** What the manifest names and the copy has not: policies, and tables on which they are switched on. */
async function missing({ pg, manifest }: Copy): Promise<string[]> {
  const here = await pg.query<{ table: string; name: string }>(policiesHere)
  const known = new Set(here.map(({ table, name }) => `${table} ${name}`))
  const present = await relationNames(pg)
  const stripped = manifest.policies
    // What is on a table that is not there is told by the relations.
    .filter(({ table, name }) => present.has(table) && !known.has(`${table} ${name}`))
    .map(({ table, name }) => `policy ${name} of ${table} is not in the copy`)
  const states = manifest.facts.structure?.relations.filter(({ rowSecurity: was }) => was !== null) ?? []
  const switched = differences(
    states,
    states.length ? await readAllRelations(pg) : [],
    ({ kind, name }) => `${kind} ${name}`,
    (was, is) =>
      !is || is.rowSecurity === was.rowSecurity
        ? undefined
        : `row level security of ${was.name} is ${is.rowSecurity}, and was ${was.rowSecurity}`,
  )
  return [...stripped, ...switched]
}

async function roleFaults(pg: Statements, name: string): Promise<string[]> {
  const [role] = await pg.query<{ super: boolean; bypasses: boolean }>(roleHere, [name])
  if (!role) return [`the application's role ${name} is not in the copy`]
  if (role.super) return [`the application's role ${name} is a superuser: row level security does not bind it`]
  return role.bypasses ? [`the application's role ${name} has BYPASSRLS: row level security does not bind it`] : []
}

async function tryTable(copy: Copy, role: string, table: TenantTable): Promise<string[]> {
  const { pg } = copy
  const shown = showTable(table)
  const [may] = await pg.query<{ reads: boolean; moves: boolean | null }>(mayDo, [role, table.oid, table.column ?? null])
  if (!may?.reads) {
    copy.say(`${shown}: ${role} may not read it, so its row level security was not tried`)
    return []
  }
  const [active] = await as(pg, role, undefined, () => pg.query<{ bound: boolean }>(isBound, [table.oid]))
  if (!active?.bound) return [`row level security of ${shown} does not bind ${role}, its owner: it is not forced`]
  const faults: string[] = []
  if (table.variable !== undefined) {
    // After RESET a setting of one's own is '' and not NULL: an error is as good as no rows.
    const seen = await seenBy(pg, role, table, '')
    if (typeof seen !== 'string' && seen.rows) faults.push(`${shown} shows ${role} ${seen.rows} rows while ${table.variable} is not set`)
  }
  if (table.column === undefined) {
    copy.say(`${shown}: its policies compare no column with a setting, so no tenants were tried`)
    return faults
  }
  const tenants = await tenantsOf(pg, table)
  if (!tenants.length) copy.say(`${shown} has no rows in this dump, so no tenants were tried`)
  for (const { tenant, rows } of tenants) {
    const seen = await seenBy(pg, role, table, tenant)
    if (typeof seen === 'string') faults.push(`${shown} cannot be read by ${role} as a tenant: ${seen}`)
    else if (seen.others) faults.push(`${shown} shows ${role} ${seen.others} rows of other tenants`)
    else if (!seen.rows) faults.push(`${shown} shows ${role} none of the ${rows} rows of a tenant`)
  }
  const [mine, theirs] = tenants
  if (may.moves && mine && theirs && (await moves(pg, role, table, mine.tenant, theirs)))
    faults.push(`${role} can move a row of ${shown} to another tenant`)
  return faults
}

/** The two with most rows. */
const tenantsOf = (pg: Statements, { column, ...table }: TenantTable) =>
  pg.query<{ tenant: string; rows: number }>(`
    SELECT ${escapeIdentifier(column!)}::text AS tenant, count(*)::float8 AS rows
      FROM ${quoteTable(table)} WHERE ${escapeIdentifier(column!)} IS NOT NULL
     GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 2`)

/** As the role with that tenant: rows seen, and those among them of others; or the server's reason why none can be. */
async function seenBy(
  pg: Statements,
  role: string,
  table: TenantTable,
  tenant: string,
): Promise<{ rows: number; others: number } | string> {
  const { column } = table
  const others = column === undefined ? '0' : `count(*) FILTER (WHERE ${escapeIdentifier(column)}::text IS DISTINCT FROM $1)::float8`
  try {
    const [seen] = await as(pg, role, [table.variable!, tenant], () =>
      pg.query<{ rows: number; others: number }>(
        `SELECT count(*)::float8 AS rows, ${others} AS others FROM ${quoteTable(table)}`,
        column === undefined ? [] : [tenant],
      ),
    )
    return seen!
  } catch (error) {
    unlessOwnTrouble(error)
    return (error as Error).message
  }
}

/** Whether a row of one tenant can be given to another: 42501 is the right answer, and any other refusal is one too. */
async function moves(
  pg: Statements,
  role: string,
  table: TenantTable,
  from: string,
  to: { tenant: string; rows: number },
): Promise<boolean> {
  const column = escapeIdentifier(table.column!)
  try {
    return await as(pg, role, [table.variable!, from], async () => {
      await pg.query(
        `UPDATE ${quoteTable(table)} SET ${column} = ($1::text)::${table.type} WHERE ctid = (SELECT ctid FROM ${quoteTable(table)} LIMIT 1)`,
        [to.tenant],
      )
      // The role sees none of theirs; how many there are now only we can tell.
      await plant(pg, 'RESET ROLE', 'SET LOCAL row_security = off')
      const [now] = await pg.query<{ rows: number }>(
        `SELECT count(*)::float8 AS rows FROM ${quoteTable(table)} WHERE ${column}::text = $1`,
        [to.tenant],
      )
      return now!.rows > to.rows
    })
  } catch (error) {
    unlessOwnTrouble(error)
    return false
  }
}

/** Does `work` as another role, with its setting; nothing of either stays, and an error ends no transaction. */
async function as<T>(pg: Statements, role: string, setting: [name: string, value: string] | undefined, work: () => Promise<T>): Promise<T> {
  await plant(pg, 'SAVEPOINT dbops_role')
  try {
    await plant(pg, `SET LOCAL search_path = "$user", public`, 'SET LOCAL row_security = on')
    if (setting) await pg.query('SELECT set_config($1, $2, true)', setting)
    await plant(pg, `SET LOCAL ROLE ${escapeIdentifier(role)}`)
    return await work()
  } finally {
    await plant(pg, 'ROLLBACK TO SAVEPOINT dbops_role', 'RELEASE SAVEPOINT dbops_role')
  }
}
