// What a policy is about on this server: the table or its partitions, the column that says the age, and the condition as SQL.
import type { Purge } from '@dbops/contract/config-file'
import { Permanent, Refused } from '@dbops/contract/failure'
import { nearMiss } from '@dbops/contract/names'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { findRelations, type Relation } from '../relations.ts'
import { showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'
import { refuseText } from './predicate.ts'

export interface Leaf extends TableName {
  oid: number
  /** Of its main file, 8 KiB each as a rule. */
  blocks: number
  /** As the statistics have them. */
  tuples: number
}

export interface Subject {
  table: Relation
  /** The table itself, or the partitions that hold its rows, in the order of their oids, which a later attempt finds again. */
  leaves: Leaf[]
  by: string
  columns: string[]
  /** `by` is older than the cut-off. */
  aged: string
  /** Aged, and what the policy's `where` demands. */
  qualifies: string
  where: string | undefined
  cutOff: Date
}

const columnsOf = `
  SELECT attname AS name, atttypid::regtype::text AS type
    FROM pg_attribute
   WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped`
const leavesOf = `
  SELECT c.oid, nspname AS schema, relname AS name, relkind AS kind,
         CASE relkind WHEN 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::int ELSE 0 END::float8 AS blocks,
         greatest(reltuples, 0)::float8 AS tuples
    FROM (SELECT relid FROM pg_partition_tree($1) WHERE isleaf UNION SELECT $1::oid) AS part
    JOIN pg_class c ON c.oid = relid
    JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind NOT IN ('p', 'I')
   ORDER BY c.oid`

// A time without a zone is read as of the zone that is furthest behind: its rows go some hours late, and none too early. A date is past when
// its whole day is.
const cutOffAs: Record<string, (at: string) => string> = {
  'timestamp with time zone': at => `${at}::timestamptz`,
  'timestamp without time zone': at => `(${at}::timestamptz AT TIME ZONE INTERVAL '-12:00')`,
  date: at => `(${at}::timestamptz AT TIME ZONE INTERVAL '-12:00')::date`,
}

/** The text of the condition is judged, its meaning not yet. Refused: `table_missing`, `not_a_table`, `column_missing`, `not_a_time`, `bad_where`, `foreign_partition`. */
export async function findSubject(pg: Statements, policy: Pick<Purge, 'table' | 'where' | 'by'>, cutOff: Date | null): Promise<Subject> {
  if (!cutOff) throw new Permanent('this run was born without a cut-off', { code: 'no_cut_off', hint: 'this is a bug of the scheduler' })
  if (policy.where !== undefined) refuseText(policy.where)
  const [table] = (await findRelations(pg, [policy.table], ['r', 'p'])) as [Relation]
  const columns = await pg.query<{ name: string; type: string }>(columnsOf, [table.oid])
  const column = columns.find(({ name }) => name === policy.by)
  if (!column)
    throw new Refused(`${showTable(table)} has no column "${policy.by}"`, {
      code: 'column_missing',
      hint:
        nearMiss(
          policy.by,
          columns.map(({ name }) => name),
        ) ?? `its columns are ${columns.map(({ name }) => name).join(', ')}`,
    })
  const literal = cutOffAs[column.type]
  if (!literal)
    throw new Refused(`${showTable(table)}.${policy.by} is ${column.type}: it does not say how old a row is`, {
      code: 'not_a_time',
      hint: `name a column that is a date or a timestamp${columns
        .filter(({ type }) => type in cutOffAs)
        .map(({ name }) => `; ${name} is one`)
        .join('')}`,
    })
  const found = await pg.query<Leaf & { kind: string }>(leavesOf, [table.oid])
  const foreign = found.find(({ kind }) => kind !== 'r')
  if (foreign)
    throw new Refused(`${showTable(foreign)}, a partition of ${showTable(table)}, is on another server`, {
      code: 'foreign_partition',
      hint: 'purge it there, and name the other partitions one by one here',
    })
  const leaves = found.map(({ oid, schema, name, blocks, tuples }) => ({ oid, schema, name, blocks, tuples }))
  const aged = `${escapeIdentifier(policy.by)} < ${literal(escapeLiteral(cutOff.toISOString()))}`
  return {
    table,
    leaves,
    by: escapeIdentifier(policy.by),
    columns: columns.map(({ name }) => name),
    aged,
    qualifies: policy.where === undefined ? aged : `${aged} AND (${policy.where})`,
    where: policy.where,
    cutOff,
  }
}
