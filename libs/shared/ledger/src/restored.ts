// After the ledger came back from an older copy of itself: what it has given away since then, it must not give again.
import type { Queryable } from './ledger.ts'

/** Beyond every fence that can have been given since the copy: at one attempt each second these are eleven days. */
export const fencesAhead = 1_000_000
const ahead = `select setval('fences', greatest((select last_value from fences), $1) + $2)::int8 as fence`

/** Sets the next fences beyond `seen`, the highest that is known of from outside, and beyond those of the copy. Returns the new mark. */
export const setFencesAhead = async (db: Queryable, seen: number): Promise<number> =>
  (await db.query<{ fence: number }>(ahead, [seen, fencesAhead])).rows[0]!.fence
