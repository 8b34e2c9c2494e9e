// The work of a purge: each table by its way, a look at what is left, a second pass over that, and who holds what still stays.

import { showTable } from '../table-name.ts'
import type { Postgres } from '../task.ts'
import type { Estimate, Way } from './estimate.ts'
import { type LockHolder, lockedIn, type Remains, together } from './leftovers.ts'
import { emptyPartition } from './partition.ts'
import type { PurgePlan } from './plan.ts'
import type { Leaf } from './subject.ts'
import { newPace, openSweep, type Pace, type Run, type Sweep, type SweepWay } from './sweep.ts'

/** Where a purge stands. All of it is kept after each batch, beside the next one. */
export interface Place {
  /** The oid of the table or partition that is at work; those with a smaller one are done. */
  table: number
  pass: number
  way: Way
  /** Where the next batch begins. Null: the pass has deleted, and looks. */
  next: string | null
  deleted: number
  batches: number
  emptied: number
  rowsAbout: number
  left: number
  locked: number
}

export interface Purging extends Run {
  pg: Postgres
  state: Place | undefined
  save(state: Place): Promise<void>
  progress(done: number, total: number | null, unit: string, note?: string): void
}

const begin = { blocks: '0', index: '-infinity' }

export async function purgeLeaves(c: Purging, plan: PurgePlan) {
  const resumedAt = c.state ? { ...c.state } : null
  const place: Place = c.state
    ? { ...c.state }
    : { table: 0, pass: 1, way: 'none', next: null, deleted: 0, batches: 0, emptied: 0, rowsAbout: 0, left: 0, locked: 0 }
  const pace = newPace()
  await using sweeps = new Sweeps(c, pace, { row_security: plan.byPolicy ? 'on' : 'off' })
  const holders: LockHolder[] = []
  let oldest: Date | null = null
  let seenBefore: string | undefined
  for (const estimate of plan.estimates) {
    const { leaf } = estimate
    const isResumed = resumedAt?.table === leaf.oid
    if (leaf.oid < place.table || (estimate.way === 'none' && !isResumed)) continue
    if (!isResumed) Object.assign(place, { table: leaf.oid, pass: 1, way: estimate.way, next: begin[wayOf(estimate.way)] })
    if (place.way === 'partition') {
      if (isResumed && place.next === null) continue
      await c.guard()
      if (await emptyPartition(c.pg, leaf)) {
        Object.assign(place, { next: null, emptied: place.emptied + 1, rowsAbout: place.rowsAbout + estimate.expired })
        await c.save(place)
        continue
      }
      c.log(`${showTable(leaf)} cannot be emptied as a whole now: its rows go one by one`)
      place.way = 'blocks'
    }
    const { remains, before } = await purgeLeaf(c, plan, estimate, place, await sweeps.of(wayOf(place.way)))
    seenBefore ??= before
    oldest = together({ left: 0, blocks: null, oldest }, remains).oldest
    if (!remains.left) continue
    const { worker } = await sweeps.of(wayOf(place.way))
    const held = await lockedIn(worker, plan.subject, leaf, remains)
    holders.push(...held.holders)
    // Kept with the first batch of the next table: whoever resumes before that looks at this one again.
    place.left += remains.left
    place.locked += held.locked
  }
  return {
    place,
    pace,
    oldest,
    holders: holders.slice(0, 5),
    resumedAt,
    seenBefore: seenBefore ?? (await measure(c.pg, plan.subject.table)).xid,
  }
}

/** Two passes at most: rows that were written or locked while the first went by are found by the second. */
async function purgeLeaf(
  c: Purging,
  { subject, expired }: PurgePlan,
  { leaf }: Estimate,
  place: Place,
  sweep: Sweep,
): Promise<{ remains: Remains; before: string }> {
  const pass = async (to: number) => {
    if (place.next === null) return
    // A place is kept while the next batch is under way, and never before its own is committed: whoever resumes finds a little of it done already.
    let keeping = Promise.resolve()
    try {
      await sweep.delete(subject, leaf, place.next, { from: 0, to }, async batch => {
        place.deleted += batch.deleted
        place.batches++
        place.next = batch.next
        await keeping
        keeping = c.save({ ...place })
        keeping.catch(() => undefined) // it is thrown where it is waited for
        c.progress(place.deleted, Math.max(expired, place.deleted), 'rows', `${showTable(leaf)}, pass ${place.pass}`)
      })
    } finally {
      await keeping
    }
  }
  await pass(leaf.blocks)
  // With the blocks that came while the pass was under way.
  const now = await measure(c.pg, leaf)
  const remains = await sweep.look(subject, leaf, { from: 0, to: now.blocks }, { withOldest: true })
  if (!remains.blocks || place.pass === 2) return { remains, before: now.xid }
  Object.assign(place, { pass: 2, next: place.way === 'index' ? begin.index : String(remains.blocks.from) })
  await c.save(place)
  await pass(remains.blocks.to)
  // What the second look does not reach was seen by the first alone.
  const after = await sweep.look(subject, leaf, remains.blocks)
  return { remains: { ...after, oldest: together(remains, after).oldest }, before: now.xid }
}

const measureNow = `
  SELECT pg_snapshot_xmin(pg_current_snapshot())::xid::text AS xid,
         (pg_relation_size($1::oid) / current_setting('block_size')::int)::float8 AS blocks`
/** The size of a table, and the oldest transaction that is under way. */
async function measure(pg: Postgres, leaf: Pick<Leaf, 'oid'>): Promise<{ xid: string; blocks: number }> {
  const [row] = await pg.query<{ xid: string; blocks: number }>(measureNow, [leaf.oid])
  return row!
}

const wayOf = (way: Way): SweepWay => (way === 'index' ? 'index' : 'blocks')

/** One sweep per way, opened when it is needed: what its governor has learned of one partition serves the next. */
class Sweeps implements AsyncDisposable {
  readonly #open = new Map<SweepWay, Sweep>()
  readonly #run: Run
  readonly #pace: Pace
  readonly #settings: Record<string, string>

  constructor(run: Run, pace: Pace, settings: Record<string, string>) {
    this.#run = run
    this.#pace = pace
    this.#settings = settings
  }

  async of(way: SweepWay): Promise<Sweep> {
    const open = this.#open.get(way) ?? (await openSweep(this.#run, way, this.#pace, this.#settings))
    this.#open.set(way, open)
    return open
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sweep of this.#open.values()) await sweep[Symbol.asyncDispose]()
  }
}
