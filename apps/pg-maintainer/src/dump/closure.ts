// Which tables' rows a dump must carry so that it can be restored: those that were listed, their partitions, and what their foreign keys refer to.
import { showTable } from '../table-name.ts'
import type { ForeignKey, Table } from './catalogue.ts'

export interface Closure {
  /** Tables with rows of their own. */
  included: Set<number>
  /** What was not listed and is referred to, each with the way there: `core.documents → core.cases (documents_case_id_fkey)`. */
  parents: { table: Table; path: string }[]
}

type Entry = Pick<Table, 'oid' | 'kind' | 'parents' | 'schema' | 'name' | 'extension'>

/** The closure of `listed`, walked to its end. What a foreign key refers to in an extension is there once the extension is. */
export function closureOf<T extends Entry & Table>(
  listed: readonly T[],
  tables: readonly T[],
  foreignKeys: readonly ForeignKey[],
): Closure {
  const byOid = new Map(tables.map(table => [table.oid, table]))
  const children = Map.groupBy(
    tables.flatMap(table => table.parents.map(parent => ({ parent, table }))),
    ({ parent }) => parent,
  )
  const keysOf = Map.groupBy(foreignKeys, ({ from }) => from)
  const reached = new Map<number, string>()
  const parents: Closure['parents'] = []

  // Depth first, and every table once: the path that is told is a shortest enough one to be looked up by hand.
  const take = (table: T, path: string) => {
    if (reached.has(table.oid)) return
    reached.set(table.oid, path)
    for (const { table: child } of children.get(table.oid) ?? []) take(child, path)
  }
  const follow = (table: T) => {
    for (const key of keysOf.get(table.oid) ?? []) {
      const parent = byOid.get(key.to)
      if (!parent || parent.extension || reached.has(parent.oid)) continue
      const path = `${reached.get(table.oid)} → ${showTable(parent)} (${key.name})`
      parents.push({ table: parent, path })
      take(parent, path)
    }
  }
  for (const table of listed) take(table, showTable(table))
  // A Map is walked in the order of insertion, and what is added meanwhile is walked too.
  for (const oid of reached.keys()) follow(byOid.get(oid)!)
  return { included: new Set([...reached.keys()].filter(oid => byOid.get(oid)!.kind === 'r')), parents }
}
