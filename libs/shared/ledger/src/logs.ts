// The last lines of each run, redacted by their writer.
import type { Queryable } from './ledger.ts'

export interface Line {
  n: number
  at: Date
  level: string
  line: string
}
/** How many lines of a run are kept: the newest. */
export const kept = 500

// Not waited for on the disk: the process log has the same lines.
const insert = `insert into run_logs (run, n, at, level, line) select $1, l.n, l.at, l.level, l.line from jsonb_to_recordset($2::jsonb) as l (n int, at timestamptz, level text, line text), (select set_config('synchronous_commit', 'off', true)) as unhurried on conflict do nothing`
const cut = `delete from run_logs where run = $1 and n <= $2`

export async function appendLines(db: Queryable, run: string, lines: Line[]): Promise<void> {
  if (!lines.length) return
  await db.query(insert, [run, JSON.stringify(lines)])
  const last = lines.at(-1)!.n
  if (last > kept) await db.query(cut, [run, last - kept])
}

export const linesOf = async (db: Queryable, run: string, after = 0): Promise<Line[]> =>
  (await db.query<Line>('select n, at, level, line from run_logs where run = $1 and n > $2 order by n', [run, after])).rows
