// Whether a policy's `where` is what it may be: one condition over the table's own columns that says something and does nothing. Judged before
// a row is touched: first the text, so that nothing can end the condition early, then the meaning, which only the server knows.
import { conditionFault } from '@dbops/contract/condition'
import { Refused } from '@dbops/contract/failure'
import { nearMiss } from '@dbops/contract/names'
import { quoteTable, showTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

/** Refused: `bad_where`, of a text that is more than one condition. Strings and quoted names may contain anything. */
export function refuseText(where: string): void {
  const wrong = conditionFault(where)
  if (wrong) throw bad(where, wrong.found, wrong.hint)
}

interface Node {
  'Node Type': string
  'Parent Relationship'?: string
  Output?: string[]
  Plans?: Node[]
}

/**
 * Refused: `bad_where`, of a condition that the server does not understand, that looks elsewhere, that changes from call to call, or that has no
 * column in it. `table` is one that holds rows itself.
 */
export async function checkMeaning(pg: Statements, table: TableName, where: string, columns: readonly string[]): Promise<void> {
  // The inner condition is drawn up into the scan unless a function in it is volatile: the server's own judgement, without a list of ours.
  // $1 makes it the extended protocol, which takes one statement only.
  const explain = `
    EXPLAIN (VERBOSE, FORMAT JSON)
    SELECT matches FROM (SELECT (${where}) AS matches FROM ONLY ${quoteTable(table)}) AS candidate WHERE matches AND $1::boolean`
  const [row] = await pg.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(explain, [true]).catch((error: Error & { code?: string }) => {
    if (!/^(42|22|0A)/.test(error.code ?? '')) throw error
    const unknown = /column "?([^"\s]+)"? does not exist/.exec(error.message)?.[1]
    throw bad(where, `is not understood by the server: ${error.message}`, unknown && nearMiss(unknown, columns))
  })
  const [{ Plan: plan }] = row!['QUERY PLAN']
  const nodes = flat(plan)
  if (nodes.some(node => ['InitPlan', 'SubPlan'].includes(node['Parent Relationship'] ?? '')))
    throw bad(where, `looks further than into ${showTable(table)}`)
  if (nodes.some(node => /Agg|^ProjectSet$/.test(node['Node Type'])))
    throw bad(where, 'is about more than one row, or makes several of one')
  if (nodes.some(node => !(/ Scan$|^Bitmap|^Result$/.test(node['Node Type']) && node['Node Type'] !== 'Subquery Scan')))
    throw bad(where, 'calls a function that is volatile: what it says of a row may differ from one look to the next')
  const said = (plan.Output ?? []).join(' ').replaceAll(/E?'(?:[^']|'')*'/g, ' ')
  if (plan['Node Type'] === 'Result' || !(said.includes(`${table.name}.`) || said.includes(`"${table.name.replaceAll('"', '""')}".`)))
    throw bad(where, 'says the same of every row', 'leave it out where the age alone decides; the whole table is bounded by `atMost` only')
}

const flat = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flat)]

const bad = (where: string, why: string, hint?: string) =>
  new Refused(`the condition ${JSON.stringify(where)} ${why}`, {
    code: 'bad_where',
    hint: hint ?? "write a condition over the table's own columns, such as status = 'PUBLISHED'",
  })
