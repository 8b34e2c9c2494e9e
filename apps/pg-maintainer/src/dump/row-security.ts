// Whether row level security hides rows from the role that dumps. A dump of some tenants' rows looks like a whole one (domain.md 2.3).
import { Refused } from '@dbops/contract/failure'
import { listed } from '../relations.ts'
import { showTable } from '../table-name.ts'
import type { Statements } from '../task.ts'
import type { Table } from './catalogue.ts'

/**
 * `unfiltered`: no included table hides rows from this role (BYPASSRLS, or owner without FORCE), and pg_dump fails loudly should that change.
 * `policy`: tables hide rows but for a policy that lets this role see all of them; pg_dump must be told to apply policies.
 */
export const filters = ['unfiltered', 'policy'] as const
export type Filter = (typeof filters)[number]

// A policy opens a table wholly when it is permissive, applies to the role and says `true`; a restrictive one can take that back.
const openTables = `
  SELECT polrelid AS oid
    FROM pg_policy
   WHERE polrelid = ANY ($1::oid[]) AND polcmd IN ('r', '*')
     AND (0 = ANY (polroles) OR EXISTS (SELECT FROM unnest(polroles) AS role WHERE role <> 0 AND pg_has_role(current_user, role, 'USAGE')))
   GROUP BY polrelid
  HAVING bool_or(polpermissive AND pg_get_expr(polqual, polrelid) = 'true')
     AND bool_and(polpermissive OR pg_get_expr(polqual, polrelid) = 'true')`
const currentRole = `SELECT current_user AS role`

/** Refused: `row_security`, naming the tables whose rows would be missing. */
export async function filterOf(pg: Statements, included: readonly Table[]): Promise<Filter> {
  const filtered = included.filter(table => table.filtered)
  if (!filtered.length) return 'unfiltered'
  const open = new Set((await pg.query<{ oid: number }>(openTables, [filtered.map(({ oid }) => oid)])).map(({ oid }) => oid))
  const closed = filtered.filter(({ oid }) => !open.has(oid))
  if (!closed.length) return 'policy'
  const [{ role } = { role: '' }] = await pg.query<{ role: string }>(currentRole)
  throw new Refused(
    `row level security hides rows of ${listed(closed.map(showTable))} from ${role}: the dump would be a part that looks whole`,
    {
      code: 'row_security',
      hint: `ALTER ROLE ${role} BYPASSRLS; or GRANT ${closed[0]!.owner} TO ${role} (where it is not forced); or CREATE POLICY dbops ON ${showTable(closed[0]!)} FOR SELECT TO ${role} USING (true)`,
    },
  )
}
