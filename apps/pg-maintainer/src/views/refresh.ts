// Refreshes the views of a group in one transaction and of one state of the tables below them: readers see all of it or nothing.
import { setTimeout as sleep } from 'node:timers/promises'
import { Permanent } from '@dbops/contract/failure'
import { quoteTable, showTable } from '../table-name.ts'
import type { Statements } from '../task.ts'
import type { View } from './survey.ts'
import { type Way, wayOf } from './way.ts'

export interface Refreshed {
  view: string
  oid: number
  way: Way
  seconds: number
  /** Null: it was not populated. */
  rowsBefore: number | null
  rowsAfter: number
  /** What a refresh leaves in the catalogue: see `View.mark`. */
  mark: string
}
export interface Refresh {
  views: Refreshed[]
  /** Of which moment the rows are. */
  asOf: Date
  transaction: string
  tries: number
}

// Under READ COMMITTED each view would be of a moment of its own, and a fact could miss a member that its dimension does not have yet.
const begin = `BEGIN ISOLATION LEVEL REPEATABLE READ`
/** Milliseconds: whoever waits for an exclusive lock makes all later readers wait as well; so no longer, and rather once more from the start. */
export const lockTimeout = 1_000
const waitShort = `SET LOCAL lock_timeout = ${lockTimeout}`
const thisTransaction = `SELECT pg_current_xact_id()::text AS transaction, transaction_timestamp() AS "asOf"`
const readMark = `SELECT xmin::text AS mark FROM pg_class WHERE oid = $1`

const mostTries = 5
/** Milliseconds; grows with the tries. */
const pause = 1_000

export interface Refreshing {
  signal: AbortSignal
  guard(): Promise<void>
  progress(done: number, view: string): void
  /** Takes the new rows although a view loses more than half of them. */
  allowDrop: boolean
}

/**
 * `views` in the order in which they are to be refreshed. Nothing is left of a refresh that fails. Permanent: `rows_dropped`, `row_security`;
 * the server's own code for whatever else keeps it from a refresh (55P03: somebody held a view through all tries).
 */
export async function refreshTogether(pg: Statements, views: readonly View[], how: Refreshing): Promise<Refresh> {
  for (let tries = 1; ; tries++) {
    try {
      return { ...(await refreshOnce(pg, views, how)), tries }
    } catch (error) {
      const { code } = error as { code?: string }
      // Somebody holds a view, or has refreshed one since our transaction began: VACUUM, a migration, the platform's own refresh.
      if ((code !== '55P03' && code !== '40001') || tries === mostTries) throw error
      await sleep(pause * tries, undefined, { signal: how.signal })
    }
  }
}

async function refreshOnce(pg: Statements, views: readonly View[], how: Refreshing): Promise<Omit<Refresh, 'tries'>> {
  await how.guard()
  await pg.execute(begin)
  try {
    await pg.execute(waitShort)
    const done: Refreshed[] = []
    for (const [index, view] of views.entries()) {
      how.progress(index, showTable(view))
      done.push(await refreshView(pg, view))
    }
    if (!how.allowDrop) refuseDrop(done, views)
    const [now] = await pg.query<{ transaction: string; asOf: Date }>(thisTransaction)
    await how.guard()
    await pg.execute('COMMIT')
    return { views: done, ...now! }
  } catch (error) {
    // A session that is gone has rolled back by itself.
    await pg.execute('ROLLBACK').catch(() => undefined)
    throw error
  }
}

async function refreshView(pg: Statements, view: View): Promise<Refreshed> {
  const begun = performance.now()
  const way = wayOf(view)
  const rowsBefore = view.populated ? await count(pg, view) : null
  try {
    await pg.execute(`REFRESH MATERIALIZED VIEW ${way === 'concurrently' ? 'CONCURRENTLY ' : ''}${quoteTable(view)}`)
  } catch (error) {
    throw told(error, view)
  }
  const [{ mark }] = (await pg.query<{ mark: string }>(readMark, [view.oid])) as [{ mark: string }]
  const rowsAfter = await count(pg, view)
  return {
    view: showTable(view),
    oid: view.oid,
    way,
    seconds: Math.round((performance.now() - begun) / 100) / 10,
    rowsBefore,
    rowsAfter,
    mark,
  }
}

export const count = async (pg: Statements, view: { schema: string; name: string }): Promise<number> =>
  (await pg.query<{ rows: number }>(`SELECT count(*)::float8 AS rows FROM ${quoteTable(view)}`))[0]!.rows

/** Readers keep the rows that they have. */
function refuseDrop(done: readonly Refreshed[], views: readonly View[]): void {
  const dropped = done.filter(({ rowsBefore, rowsAfter }) => rowsBefore !== null && rowsAfter < rowsBefore / 2)
  if (!dropped.length) return
  const guarded = [...new Set(views.filter(({ oid }) => dropped.some(one => one.oid === oid)).flatMap(view => view.guarded))]
  const cause = guarded.length
    ? `row level security of ${guarded.join(', ')} may hide rows from the owner of the view`
    : 'rows of the tables below it are gone'
  throw new Permanent(
    `${dropped.map(({ view, rowsBefore, rowsAfter }) => `${view} would fall from ${rowsBefore} to ${rowsAfter} rows`).join(', ')}: nothing was refreshed`,
    { code: 'rows_dropped', hint: `${cause}. If the new rows are right, take them once with allowDrop` },
  )
}

/** A view is refreshed as its owner. With row_security off, as it is in our sessions, the server refuses what it would filter. */
function told(error: unknown, { owner, ...view }: View): unknown {
  const { code, message } = error as { code?: string; message: string }
  const table = /row-level security policy for table "(.*)"/.exec(message)?.[1]
  if (code !== '42501' || !table) return error
  return new Permanent(
    `${showTable(view)} is refreshed as its owner ${owner}, from whom row level security of table "${table}" hides rows`,
    {
      code: 'row_security',
      hint: `ALTER ROLE ${owner} BYPASSRLS, or a policy for it on the table: CREATE POLICY … TO ${owner} USING (true)`,
      cause: error,
    },
  )
}
