// How many rows a table has, and how young they are: read in one pass, by the dump in its snapshot and again in the restored copy.
import { escapeIdentifier } from 'pg'
import { quoteTable, type TableName } from '../table-name.ts'
import type { Statements } from '../task.ts'

export interface Measured extends TableName {
  /** Columns of a point in time. */
  times: string[]
}

export interface Measure {
  rows: number
  /** Column → its newest value in UTC to the microsecond, null where there is none. Left out where no column is one of time. */
  newest?: Record<string, string | null>
}

/** Of the table alone, without those that inherit from it: pg_dump writes each table's own rows. The session's time zone must be UTC. */
export async function measure(pg: Statements, { times, ...table }: Measured): Promise<Measure> {
  const shown = (column: string) => `to_char(max(${escapeIdentifier(column)}), 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
  const columns = ['count(*)::float8 AS rows', ...times.map((column, place) => `${shown(column)} AS newest_${place}`)]
  const [row] = await pg.query<{ rows: number } & Record<string, string | null>>(
    `SELECT ${columns.join(', ')} FROM ONLY ${quoteTable(table)}`,
  )
  if (!times.length) return { rows: row!.rows }
  return { rows: row!.rows, newest: Object.fromEntries(times.map((column, place) => [column, row![`newest_${place}`] as string | null])) }
}
