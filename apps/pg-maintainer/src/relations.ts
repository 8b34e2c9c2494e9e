// Looks up tables that a person named: what each is, and for a partitioned one what it consists of.
import { Refused } from '@dbops/contract/failure'
import { nearMiss } from '@dbops/contract/names'
import { parseTable, showTable, type TableName } from './table-name.ts'
import type { Statements } from './task.ts'

export interface Relation extends TableName {
  oid: number
  /** pg_class.relkind. */
  kind: string
}

/** What a relation is called that is no table. */
export const kinds: Record<string, string> = {
  r: 'a table',
  p: 'a partitioned table',
  m: 'a materialized view',
  v: 'a view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
  I: 'a partitioned index',
  c: 'a composite type',
  t: 'a TOAST table',
}

const findNamed = `
  SELECT c.oid, nspname AS schema, relname AS name, relkind AS kind
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (schema, name, place)
    JOIN pg_namespace n ON nspname = asked.schema
    JOIN pg_class c ON relnamespace = n.oid AND relname = asked.name
   ORDER BY place`
const allNames = `
  SELECT nspname AS schema, relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind IN ('r', 'p', 'm')`

/** The relations of these names, each once, in their order. Refused: `table_missing`, with the nearest name; `not_a_table` for a kind that is not in `wanted`. */
export async function findRelations(pg: Statements, names: readonly string[], wanted: readonly string[]): Promise<Relation[]> {
  const asked = [...new Set(names)].map(text => ({ text, parsed: parseTable(text) }))
  const found = await pg.query<Relation>(findNamed, [asked.map(({ parsed }) => parsed?.schema), asked.map(({ parsed }) => parsed?.name)])
  const there = new Set(found.map(showTable))
  const missing = asked.filter(({ parsed }) => !parsed || !there.has(showTable(parsed)))
  if (missing.length) {
    const known = (await pg.query<TableName>(allNames)).map(showTable)
    const hints = missing.map(({ text }) => nearMiss(text, known)).filter(hint => hint !== undefined)
    throw new Refused(`${listed(missing.map(({ text }) => text))} ${missing.length > 1 ? 'are' : 'is'} not in the database`, {
      code: 'table_missing',
      hint: hints.length ? hints.join(' ') : 'it was renamed or dropped: correct the name, as the catalogue spells it',
    })
  }
  const odd = found.find(({ kind }) => !wanted.includes(kind))
  if (odd)
    throw new Refused(`${showTable(odd)} is ${kinds[odd.kind] ?? 'no table'}`, {
      code: 'not_a_table',
      hint: `name ${wanted.map(kind => kinds[kind]).join(' or ')}`,
    })
  return found
}

/** At most `most` of the words, and how many more there are. */
export const listed = (words: string[], most = 5) =>
  words.length > most ? `${words.slice(0, most).join(', ')} and ${words.length - most} more` : words.join(', ')
