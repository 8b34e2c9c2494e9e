// Looks once more, for the proof: in sessions of its own, at the whole table, with the policy's own condition.
import { type LockHolder, lockedIn, type Remains } from './leftovers.ts'
import { checkRights } from './obstacles.ts'
import type { Subject } from './subject.ts'
import { newPace, openSweep, type Run, type SweepWay } from './sweep.ts'

export interface Remaining {
  left: number
  locked: number
  /** Written after the purge had looked: the next one takes them. */
  later: number
  holders: LockHolder[]
}

export async function remaining(run: Run, subject: Subject, way: SweepWay, since: string): Promise<Remaining> {
  const byPolicy = await checkRights(run.pg, subject)
  await using sweep = await openSweep(run, way, newPace(), { row_security: byPolicy ? 'on' : 'off' })
  const all: Remaining = { left: 0, locked: 0, later: 0, holders: [] }
  for (const leaf of subject.leaves) {
    const remains: Remains = await sweep.look(subject, leaf, { from: 0, to: leaf.blocks })
    if (!remains.left) continue
    const before = { ...subject, qualifies: `${subject.qualifies} AND age(xmin) > age('${since}'::xid)` }
    const old = await sweep.look(before, leaf, remains.blocks!)
    const { locked, holders } = await lockedIn(sweep.worker, before, leaf, old)
    all.left += remains.left
    all.later += remains.left - old.left
    all.locked += locked
    all.holders.push(...holders)
  }
  return { ...all, holders: all.holders.slice(0, 5) }
}
