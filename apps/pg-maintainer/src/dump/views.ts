// What becomes of materialized views: pg_restore fills them from the tables it has restored, and some of those come back empty.
import { quoteTable, showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'
import type { Catalogue } from './catalogue.ts'

export interface ViewPlan {
  view: TableName
  populated: boolean
  /** It has not one row. */
  empty?: boolean
  /** False: it comes back populated and wrong, since rows below it are not in the dump. */
  restorable: boolean
  /** Tables below it whose rows are not dumped. */
  missing: string[]
}

const readableViews = `
  SELECT nspname AS schema, relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind = 'm' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')`

/** A view that has rows today and none in the copy has lost them; one that has none today has not. Asked for one row: nobody counts them. */
export async function withEmptiness(snapshot: Statements, views: ViewPlan[]): Promise<ViewPlan[]> {
  const readable = new Set((await snapshot.query<TableName>(readableViews)).map(showTable))
  const told: ViewPlan[] = []
  for (const plan of views) {
    const asked = plan.populated && plan.restorable && readable.has(showTable(plan.view))
    const [row] = asked ? await snapshot.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ${quoteTable(plan.view)}) AS empty`) : []
    told.push(row ? { ...plan, empty: row.empty } : plan)
  }
  return told
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
