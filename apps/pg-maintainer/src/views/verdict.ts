// Whether the refresh of a group stands in the database: each view populated, with the mark that our transaction left and the rows that it counted.
import { parseTable } from '../table-name.ts'
import type { Statements } from '../task.ts'
import { count, type Refreshed } from './refresh.ts'

export interface ViewVerdict {
  ok: boolean
  view: string
  reason: string
}

// A refresh writes the view's row in pg_class anew, whichever way it goes, so that row carries the number of the refreshing transaction; a
// vacuum or analyze changes it in place and leaves the number. Of a later refresh by somebody else only that ours was committed is left to see.
const readMarks = `
  SELECT c.oid, relispopulated AS populated, xmin::text AS mark, age(xmin) <= age($3::xid) AS later, pg_xact_status($2::xid8) = 'committed' AS committed
    FROM pg_class c
   WHERE c.oid = ANY ($1)`

interface Seen {
  oid: number
  populated: boolean
  mark: string
  /** Changed by a transaction that is younger than ours. */
  later: boolean
  committed: boolean | null
}

export async function verdictOf(
  pg: Statements,
  { views, transaction }: { views: readonly Refreshed[]; transaction: string },
): Promise<ViewVerdict[]> {
  const marks = views.length ? await pg.query<Seen>(readMarks, [views.map(({ oid }) => oid), transaction, views[0]!.mark]) : []
  const verdicts: ViewVerdict[] = []
  for (const view of views)
    verdicts.push(
      await judge(
        pg,
        view,
        marks.find(({ oid }) => oid === view.oid),
      ),
    )
  return verdicts
}

async function judge(pg: Statements, { view, mark, rowsAfter }: Refreshed, seen: Seen | undefined): Promise<ViewVerdict> {
  const says = (ok: boolean, reason: string) => ({ ok, view, reason: `${view}: ${reason}` })
  if (!seen) return says(false, 'it is not there any more')
  if (!seen.populated) return says(false, 'it is not populated')
  if (seen.mark !== mark)
    return seen.committed && seen.later
      ? says(true, 'refreshed, and changed by somebody else since')
      : says(false, 'its row in the catalogue is not of our transaction: nothing was refreshed')
  const rows = await count(pg, parseTable(view)!)
  return rows === rowsAfter ? says(true, `${rows} rows`) : says(false, `${rows} rows, and ${rowsAfter} were counted before the commit`)
}
