// Whether a table was rewritten, as a pure decision with its reason.
import { formatSize } from '@dbops/contract/duration'
import { describeHolder, type Holder } from '../vacuum/holder.ts'

export const outcomes = ['rewritten', 'unmoved', 'grown', 'held', 'gone'] as const
export type Outcome = (typeof outcomes)[number]

export interface Seen {
  table: string
  filenodeBefore: number
  bytesBefore: number
  /** As it is now; undefined: the table is not there any more. */
  now: { filenode: number; bytes: number; live: number; dead: number } | undefined
  /** Who held the horizon when its rewriting began, the oldest first. */
  holders: Holder[]
}

/** Dead rows that the traffic of the first moments leaves: a hundredth of the rows, and always 50. What an old snapshot keeps is more. */
const fewDead = (live: number) => Math.max(50, live / 100)

export function judge({ table, filenodeBefore, bytesBefore, now, holders }: Seen): {
  ok: boolean
  outcome: Outcome
  reason: string
  hint?: string
} {
  if (!now) return { ok: false, outcome: 'gone', reason: `${table}: it is not there any more` }
  if (now.filenode === filenodeBefore)
    return { ok: false, outcome: 'unmoved', reason: `${table}: its rows are in the same file as before (${filenodeBefore})` }
  const sizes = `${formatSize(bytesBefore)} to ${formatSize(now.bytes)}`
  if (now.bytes > bytesBefore)
    return {
      ok: false,
      outcome: 'grown',
      reason: `${table}: rewritten, and it grew from ${sizes}`,
      hint: 'it had no bloat, or is written faster',
    }
  const [oldest] = holders
  if (now.dead > fewDead(now.live) && oldest) {
    const { who, hint } = describeHolder(oldest)
    return {
      ok: false,
      outcome: 'held',
      reason: `${table}: rewritten with ${now.dead} dead rows in it: the horizon was held by ${who}`,
      hint,
    }
  }
  return { ok: true, outcome: 'rewritten', reason: `${table}: from ${sizes}, ${now.dead} dead rows` }
}
