// What stands in the way of deleting rows of a table: rights, row level security, and other tables that refer to it.
import { Refused } from '@dbops/contract/failure'
import type { Fault } from '@dbops/contract/task'
import { escapeIdentifier } from 'pg'
import { listed } from '../relations.ts'
import { quoteTable, showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'
import type { Subject } from './subject.ts'

export interface Obstacles {
  /** Tables that refer to this one, and what a deletion does there. */
  references: { constraint: string; table: string; onDelete: string }[]
  /** Triggers of people that run for each deleted row or statement. */
  triggers: string[]
}

const rightsOf = `
  SELECT c.oid, nspname AS schema, relname AS name, current_user AS role, pg_get_userbyid(relowner) AS owner,
         has_table_privilege(c.oid, 'DELETE') AND has_table_privilege(c.oid, 'SELECT') AS may,
         row_security_active(c.oid) AS filtered,
         (SELECT coalesce(bool_or(polpermissive AND polcmd IN ('r', '*') AND pg_get_expr(polqual, polrelid) = 'true'), false)
             AND coalesce(bool_or(polpermissive AND polcmd IN ('d', '*') AND pg_get_expr(polqual, polrelid) = 'true'), false)
             AND bool_and(polpermissive OR polcmd IN ('a', 'w') OR pg_get_expr(polqual, polrelid) = 'true')
            FROM pg_policy
           WHERE polrelid = c.oid
             AND (0 = ANY (polroles) OR EXISTS (SELECT FROM unnest(polroles) AS r WHERE r <> 0 AND pg_has_role(current_user, r, 'USAGE')))
         ) AS open
    FROM unnest($1::oid[]) AS asked (oid)
    JOIN pg_class c ON c.oid = asked.oid
    JOIN pg_namespace n ON n.oid = relnamespace`
// Every deletion of a parent row looks for its children. Without an index that begins with their columns that is a scan of the child per row.
const referencesTo = `
  SELECT DISTINCT ON (child.oid, conkey) conname AS constraint, nspname AS schema, child.relname AS name, confdeltype AS "onDelete",
         (SELECT array_agg(attname::text ORDER BY place)
            FROM unnest(conkey) WITH ORDINALITY AS key (number, place)
            JOIN pg_attribute ON attrelid = child.oid AND attnum = number) AS columns,
         EXISTS (SELECT FROM pg_index i JOIN pg_class ic ON ic.oid = indexrelid JOIN pg_am am ON am.oid = ic.relam
                  WHERE indrelid = child.oid AND indisvalid AND indpred IS NULL AND amname IN ('btree', 'hash')
                    AND (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey) AS indexed
    FROM pg_constraint con
    JOIN pg_class child ON child.oid = conrelid
    JOIN pg_namespace n ON n.oid = child.relnamespace
   WHERE contype = 'f' AND confrelid = ANY ($1::oid[]) AND NOT child.relispartition
   ORDER BY child.oid, conkey, con.oid`
// Bit 3 of tgtype: it fires on DELETE.
const deleteTriggers = `
  SELECT DISTINCT tgname AS name FROM pg_trigger
   WHERE tgrelid = ANY ($1::oid[]) AND NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 8 <> 0
   ORDER BY 1`

const onDelete: Record<string, string> = {
  a: 'refuses while a row refers to it',
  r: 'refuses while a row refers to it',
  n: 'sets its columns to null',
  d: 'sets its columns to their defaults',
  c: 'deletes the rows that refer to it',
}

interface Reference extends TableName {
  constraint: string
  onDelete: string
  columns: string[]
  indexed: boolean
}

/** Refused: `cascades`, `index_missing`. What a statement would mend is also given to `found`. */
export async function findObstacles(
  pg: Statements,
  { table, leaves }: Subject,
  found: (faults: Fault[]) => Promise<void>,
): Promise<Obstacles> {
  const oids = [...new Set([table.oid, ...leaves.map(({ oid }) => oid)])]
  const references = await pg.query<Reference>(referencesTo, [oids])
  const cascade = references.find(reference => reference.onDelete === 'c')
  if (cascade)
    throw new Refused(
      `${showTable(cascade)} refers to ${showTable(table)} by ${cascade.constraint} ON DELETE CASCADE: its rows would go as well, and no policy says so`,
      { code: 'cascades', hint: `purge ${showTable(cascade)} by a policy of its own, and let its key be ON DELETE RESTRICT` },
    )
  const slow = references.filter(({ indexed }) => !indexed)
  if (slow.length) {
    await found(slow.map(reference => indexFault(reference, table)))
    throw new Refused(
      `${listed(slow.map(reference => `${showTable(reference)} refers to ${showTable(table)} by ${reference.constraint}`))} and has no index on it: every deleted row would be a scan of it`,
      { code: 'index_missing', hint: slow.map(indexFor).join('; ') },
    )
  }
  return {
    references: references.map(reference => ({
      constraint: reference.constraint,
      table: showTable(reference),
      onDelete: onDelete[reference.onDelete] ?? reference.onDelete,
    })),
    triggers: (await pg.query<{ name: string }>(deleteTriggers, [oids])).map(({ name }) => name),
  }
}

/** Whether the rows are reached through policies that open them all. Refused: `privilege_missing`, `row_security`. */
export async function checkRights(pg: Statements, { leaves }: Subject): Promise<boolean> {
  const rights = await pg.query<TableName & { role: string; owner: string; may: boolean; filtered: boolean; open: boolean | null }>(
    rightsOf,
    [leaves.map(({ oid }) => oid)],
  )
  const closed = rights.filter(({ may }) => !may)
  if (closed.length)
    throw new Refused(`${closed[0]!.role} may not read and delete rows of ${listed(closed.map(showTable))}`, {
      code: 'privilege_missing',
      hint: `GRANT SELECT, DELETE ON ${listed(closed.map(quoteTable))} TO ${escapeIdentifier(closed[0]!.role)}`,
    })
  const hidden = rights.filter(({ filtered, open }) => filtered && !open)
  if (hidden.length) {
    const [{ role, owner }] = hidden as [(typeof hidden)[0]]
    throw new Refused(
      `row level security hides rows of ${listed(hidden.map(showTable))} from ${role}: a purge would delete none of them and look like a success`,
      {
        code: 'row_security',
        hint: `GRANT ${escapeIdentifier(owner)} TO ${escapeIdentifier(role)} (where it is not forced); or CREATE POLICY dbops ON ${quoteTable(hidden[0]!)} TO ${escapeIdentifier(role)} USING (true)`,
      },
    )
  }
  return rights.some(({ filtered }) => filtered)
}

const indexFor = ({ columns, ...child }: Reference) =>
  `CREATE INDEX CONCURRENTLY ON ${quoteTable(child)} (${columns.map(escapeIdentifier).join(', ')})`

const indexFault = (reference: Reference, table: TableName): Fault => ({
  key: `foreign key ${showTable(reference)}.${reference.constraint}`,
  level: 'warning',
  what: `${showTable(reference)} refers to ${showTable(table)} by ${reference.constraint} and has no index on ${reference.columns.join(', ')}: rows of ${showTable(table)} cannot be purged`,
  sql: indexFor(reference),
})
