// Goes through a table batch by batch: at the governor's pace, each batch in its own transaction, with a place that a later attempt goes on from.
import { setTimeout as sleep } from 'node:timers/promises'
import { formatDuration } from '@dbops/contract/duration'
import { Later, Permanent } from '@dbops/contract/failure'
import { showTable } from '../table-name.ts'
import type { Postgres, SecondSession } from '../task.ts'
import { type Batch, type Blocks, blocksBatch, keyBatch, settingsOf } from './batch.ts'
import { type Governor, governor, type Range, ranges, type Step, target } from './governor.ts'
import { nothing, type Remains, remainsByKey, remainsInBlocks, together } from './leftovers.ts'
import { feelPulse, type Pulse } from './pulse.ts'
import type { Leaf, Subject } from './subject.ts'

export type SweepWay = 'blocks' | 'index'

/** What a sweep needs of the run that it belongs to. */
export interface Run {
  pg: Postgres
  signal: AbortSignal
  guard(): Promise<void>
  log(message: string, fields?: Record<string, unknown>): void
}

/** How it went; adds up over all sweeps of an attempt. */
export interface Pace {
  longestMs: number
  /** ms waited for the sake of others, by reason. */
  waited: Record<Exclude<Step['why'], 'free'>, number>
  /** Batches until the size had been found: the first one within half and double of the time that was meant, or as large as any may be. Null: never. */
  settledAfter: number | null
  size: number
}

const whoAmI = `SELECT pg_backend_pid() AS pid`
/** Of the pause after a batch, after a step that only reads: it holds no row and writes nothing that others would have to wait for. */
const readingPause = 0.25
/** ms that a sweep waits in place for a standby or the archive; then its worker is given to others. */
const patience = 30_000

/** The session that deletes, its governor and the pulse of the server, for one way. Ends with its block. */
export async function openSweep(run: Run, way: SweepWay, pace: Pace, settings: Record<string, string> = {}): Promise<Sweep> {
  const worker = await run.pg.session({ ...settingsOf[way], ...settings })
  try {
    const [{ pid }] = (await worker.query<{ pid: number }>(whoAmI)) as [{ pid: number }]
    return new Sweep(run, way, pace, worker, await feelPulse(run.pg, pid))
  } catch (error) {
    await worker[Symbol.asyncDispose]()
    throw error
  }
}

export class Sweep implements AsyncDisposable {
  readonly worker: SecondSession
  readonly #run: Run
  readonly #way: SweepWay
  readonly #pace: Pace
  readonly #pulse: Pulse
  readonly #governor: Governor
  readonly #range: Range
  #steps = 0

  constructor(run: Run, way: SweepWay, pace: Pace, worker: SecondSession, pulse: Pulse) {
    this.#run = run
    this.#way = way
    this.#pace = pace
    this.worker = worker
    this.#pulse = pulse
    this.#range = way === 'index' ? ranges.rows : ranges.blocks
    this.#governor = governor(this.#range)
  }

  /**
   * Deletes from `place` on to the end, of `blocks` only where that is the way. `kept` is called after each batch and before the next; what it
   * stores is where a later attempt goes on. Throws `table_locked`, `too_slow`, `still_referenced`, `replica_behind`, `archive_behind`.
   */
  async delete(subject: Subject, leaf: Leaf, place: string, { to }: Blocks, kept: (batch: Batch) => Promise<void>): Promise<void> {
    for (let next: string | null = place; next !== null; ) {
      const at: string = next
      const batch: Batch | null = await this.#batch(leaf, size =>
        this.#way === 'index' ? keyBatch(this.worker, subject, leaf, at, size) : blocksBatch(this.worker, subject, leaf, at, size, to),
      )
      if (!batch) continue
      await kept(batch)
      next = batch.next
    }
  }

  /** Counts what is past the cut-off, in the same steps and at the same pace as it was deleted. */
  async look(subject: Subject, leaf: Leaf, blocks: Blocks, { withOldest = false } = {}): Promise<Remains> {
    if (this.#way === 'index') {
      // Entries of rows that have just gone are still in the index; where they are too many, the blocks say it sooner.
      const counted = await remainsByKey(this.worker, subject, leaf, withOldest).catch((error: { code?: string }) => {
        if (error.code !== '57014' || this.#run.signal.aborted) throw error
        return null
      })
      if (counted) return counted
    }
    let seen = nothing
    for (let from = blocks.from; from < blocks.to; ) {
      const read = async (size: number) => {
        const to = Math.min(blocks.to, from + (this.#way === 'index' ? ranges.blocks.start : size))
        return { to, remains: await remainsInBlocks(this.worker, subject, leaf, { from, to }, withOldest) }
      }
      const part = await this.#batch(leaf, read, readingPause)
      if (!part) continue
      seen = together(seen, part.remains)
      from = part.to
    }
    return seen
  }

  /** One step of the way, and the wait after it. Null: it took too long and is to be tried again, smaller. */
  async #batch<T>(leaf: Leaf, work: (size: number) => Promise<T>, pausing = 1): Promise<T | null> {
    await this.#run.guard()
    const began = performance.now()
    const size = this.#governor.size
    let done: T | null = null
    let step: Step
    try {
      done = await work(size)
      const took = performance.now() - began
      step = this.#governor.after(took, this.#pulse.take())
      this.#note(took, size, step)
      if (step.why === 'busy') step.pause *= pausing
    } catch (error) {
      step = this.#judge(error as Error & { code?: string }, leaf)
    }
    await this.#wait(step)
    return done
  }

  #note(took: number, size: number, { why }: Step): void {
    const meant = why === 'free' ? target.free : target.busy
    this.#steps++
    if ((took > meant / 2 && took < meant * 2) || (took <= meant && size === this.#range.most)) this.#pace.settledAfter ??= this.#steps
    this.#pace.longestMs = Math.max(this.#pace.longestMs, Math.round(took))
    this.#pace.size = size
  }

  #judge(error: Error & { code?: string }, leaf: Leaf): Step {
    this.#run.signal.throwIfAborted()
    if (error.code === '55P03')
      throw new Later(`${showTable(leaf)} is locked by somebody else`, 30_000, { code: 'table_locked', hint: 'see pg_locks: dbops locks' })
    if (error.code === '23503')
      throw new Permanent(`rows past the cut-off are still in use: ${error.message}`, {
        code: 'still_referenced',
        hint: 'purge the table that refers to them first, or leave such rows out by the condition of the policy',
        cause: error,
      })
    // Too long, or a deadlock with somebody: in smaller steps.
    const smaller = ['57014', '40P01'].includes(error.code ?? '') ? this.#governor.tooLong() : undefined
    if (smaller) return smaller
    if (smaller === undefined) throw error
    throw new Permanent(`the smallest batch in ${showTable(leaf)} takes longer than a batch may: ${error.message}`, {
      code: 'too_slow',
      hint: 'a trigger or a foreign key without an index costs so much; EXPLAIN ANALYZE of such a DELETE, rolled back, says which',
      cause: error,
    })
  }

  async #wait(step: Step): Promise<void> {
    const { signal } = this.#run
    if (step.why !== 'free' && step.pause) {
      this.#pace.waited[step.why] += Math.round(step.pause)
      await sleep(step.pause, undefined, { signal })
    }
    if (!step.stop) return
    const why = step.why
    for (const until = performance.now() + patience; ; ) {
      const now = this.#governor.after(1_000, this.#pulse.take())
      if (!now.stop) return
      if (performance.now() > until)
        throw new Later(`${words[why as 'replica' | 'archive']} since ${formatDuration(patience)}`, 60_000, {
          code: `${why}_behind`,
          hint: 'the purge goes on from its place when that is over; pg_stat_replication and pg_stat_archiver say more',
        })
      this.#pace.waited[why as 'replica' | 'archive'] += now.pause
      await sleep(now.pause, undefined, { signal })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pulse[Symbol.asyncDispose]()
    await this.worker[Symbol.asyncDispose]()
  }
}

const words = { replica: 'a standby is far behind', archive: 'the archive of the log is far behind, or fails' }

export const newPace = (): Pace => ({
  longestMs: 0,
  waited: { busy: 0, waiters: 0, connections: 0, replica: 0, archive: 0, timeout: 0 },
  settledAfter: null,
  size: 0,
})
