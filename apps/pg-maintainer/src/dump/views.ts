// What becomes of materialized views: pg_restore fills them from the tables it has restored, and some of those come back empty.
import { showTable, type TableName } from '../table-name.ts'
import type { Catalogue } from './catalogue.ts'

export interface ViewPlan {
  view: TableName
  populated: boolean
  /** False: it comes back populated and wrong, since rows below it are not in the dump. */
  restorable: boolean
  /** Tables below it whose rows are not dumped. */
  missing: string[]
}

/** In the order in which they can be refreshed. */
export const viewPlans = ({ tables, views }: Catalogue, included: Set<number>): ViewPlan[] => {
  const byOid = new Map(tables.map(table => [table.oid, table]))
  const partitions = Map.groupBy(
    tables.flatMap(table => table.parents.map(parent => ({ parent, oid: table.oid }))),
    ({ parent }) => parent,
  )
  const isWhole = (oid: number): boolean => {
    const table = byOid.get(oid)
    if (!table || !['r', 'p', 'f'].includes(table.kind)) return true
    return (table.kind === 'p' || included.has(oid)) && (partitions.get(oid) ?? []).every(part => isWhole(part.oid))
  }
  return views.map(({ schema, name, populated, uses }) => {
    const missing = uses.filter(oid => oid && !isWhole(oid)).map(oid => showTable(byOid.get(oid)!))
    return { view: { schema, name }, populated, restorable: !missing.length, missing }
  })
}
