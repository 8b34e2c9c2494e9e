// Decides what a dump carries, before a byte is dumped: which tables' rows, whose not, and whether this role can read them all.
import type { Dump } from '@dbops/contract/config-file'
import { Refused } from '@dbops/contract/failure'
import { findRelations, kinds, listed } from '../relations.ts'
import { showTable } from '../table-name.ts'
import type { Statements } from '../task.ts'
import { type Catalogue, readCatalogue, type Table } from './catalogue.ts'
import { type Closure, closureOf } from './closure.ts'
import { type Filter, filterOf } from './row-security.ts'
import { type ViewPlan, viewPlans } from './views.ts'

export interface DumpPlan {
  /** Tables whose rows are dumped, by name. */
  included: Table[]
  /** Those among them that nobody listed, with the way by which they are needed. */
  added: string[]
  /** Tables of which only the definition is dumped. */
  excluded: Table[]
  filter: Filter
  views: ViewPlan[]
  /** Of the included tables on disk: more than their dump will take. */
  bytes: number
}

const sizeOf = `SELECT coalesce(sum(pg_table_size(oid)), 0)::float8 AS bytes FROM unnest($1::oid[]) AS oid`

/** Refused: `table_missing`, `not_a_table`, `parents_missing`, `privilege_missing`, `row_security`. */
export async function planDump(pg: Statements, { data, parents }: Pick<Dump, 'data' | 'parents'>): Promise<DumpPlan> {
  const asked = data === 'all' ? undefined : new Set((await findRelations(pg, data, ['r', 'p'])).map(({ oid }) => oid))
  const catalogue = await readCatalogue(pg)
  const listedTables = catalogue.tables.filter(({ oid, kind, extension }) =>
    asked ? asked.has(oid) : ['r', 'p'].includes(kind) && !extension,
  )
  refuseExtensions(listedTables)
  const closure = closureOf(listedTables, catalogue.tables, catalogue.foreignKeys)
  if (parents === 'refuse') refuseParents(closure)
  const [included, excluded] = divide(catalogue, closure.included)
  refuseUnreadable(catalogue, included)
  const filter = await filterOf(pg, included)
  const [size] = await pg.query<{ bytes: number }>(sizeOf, [included.map(({ oid }) => oid)])
  return {
    included,
    added: closure.parents.map(({ path }) => path),
    excluded,
    filter,
    views: viewPlans(catalogue, closure.included),
    bytes: size!.bytes,
  }
}

/** What an extension made is made anew by it; only its configuration tables have rows of ours, and those only where they are listed. */
function divide({ tables }: Catalogue, included: Set<number>): [Table[], Table[]] {
  const dumpable = tables.filter(({ kind, extension, isConfig }) => kind === 'r' && (!extension || isConfig))
  return [dumpable.filter(({ oid }) => included.has(oid)), dumpable.filter(({ oid }) => !included.has(oid))]
}

function refuseExtensions(tables: Table[]): void {
  const odd = tables.find(({ extension, isConfig }) => extension && !isConfig)
  if (odd)
    throw new Refused(`${showTable(odd)} belongs to the extension ${odd.extension}, which makes it anew: its rows cannot be dumped`, {
      code: 'not_a_table',
      hint: 'leave it out of the list',
    })
}

function refuseParents({ parents }: Closure): void {
  if (!parents.length) return
  throw new Refused(`listed tables refer to rows that would not be in the dump: ${listed(parents.map(({ path }) => path))}`, {
    code: 'parents_missing',
    hint: `such a dump cannot be restored: list ${listed(parents.map(({ table }) => showTable(table)))} as well, or write parents: include`,
  })
}

// pg_dump locks every table whose definition it writes, which takes the right to read it, and reads the state of every sequence, those of
// extensions too where they count for rows of ours.
function refuseUnreadable({ tables }: Catalogue, included: Table[]): void {
  const mine = new Set(included.map(({ oid }) => oid))
  const needed = tables.filter(
    ({ oid, kind, extension, isConfig }) => mine.has(oid) || (['r', 'p', 'S'].includes(kind) && (!extension || (kind === 'S' && isConfig))),
  )
  const closed = needed.filter(({ readable }) => !readable)
  if (!closed.length) return
  const what = closed.map(table => `${showTable(table)}${table.kind === 'S' ? ` (${kinds.S!})` : ''}`)
  throw new Refused(`the role of this target may not read ${listed(what)}: a dump reads or locks every table of the database`, {
    code: 'privilege_missing',
    hint: 'GRANT pg_read_all_data to the role of this target',
  })
}
