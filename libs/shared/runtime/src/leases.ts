// The leases of one process: every attempt that it has in hand, confirmed by one statement for all of them, on a clock that no step of the wall clock moves.
import { Problem } from '@dbops/contract/failure'
import type { Queryable } from '@dbops/ledger/ledger'
import { type Beat, heartbeat } from '@dbops/ledger/runs'

/** Why an attempt was told to stop. */
export class Superseded extends Problem {}
export class Cancelled extends Problem {
  readonly actor: string
  constructor(actor: string) {
    super(`cancelled by ${actor}`)
    this.actor = actor
  }
}

export interface Guard {
  guard(): Promise<void>
}

export class Lease implements Guard {
  readonly fence: number
  /** When the statement that last confirmed it was *sent*: the ledger may have handled it any time after that. */
  #confirmedAt: number
  #ended: Error | undefined
  #waiters = new Set<() => void>()
  readonly #safeFor: number
  readonly #abort: AbortController

  constructor(fence: number, sentAt: number, leaseMs: number, abort: AbortController) {
    this.fence = fence
    this.#confirmedAt = sentAt
    this.#safeFor = (leaseMs * 2) / 3
    this.#abort = abort
  }

  /** Younger than ⅔ of a lease, and nobody asked for a stop. */
  isSafe(): boolean {
    return !this.#ended && this.#isFresh()
  }

  #isFresh(): boolean {
    return performance.now() - this.#confirmedAt < this.#safeFor
  }

  /** Returns while the lease is confirmed; waits while it is in doubt; throws when the attempt is superseded or cancelled. */
  guard(): Promise<void> {
    return this.#guard(this.#abort.signal, () => this.#ended)
  }

  /** The same lease for putting the world back: that goes on when the work was cancelled or has timed out, until `signal`, and only under a confirmed lease. */
  aside(signal: AbortSignal): Guard {
    return { guard: () => this.#guard(signal, () => (this.#ended instanceof Superseded ? this.#ended : undefined)) }
  }

  async #guard(signal: AbortSignal, over: () => Error | undefined): Promise<void> {
    for (;;) {
      signal.throwIfAborted()
      const reason = over()
      if (reason) throw reason
      if (this.#isFresh()) return
      await new Promise<void>(resolve => {
        const wake = () => {
          this.#waiters.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#waiters.add(wake)
        signal.addEventListener('abort', wake, { once: true })
      })
    }
  }

  confirm(sentAt: number): void {
    this.#confirmedAt = Math.max(this.#confirmedAt, sentAt)
    for (const wake of this.#waiters) wake()
  }

  /** Ends the attempt's right to act, and tells its work. */
  end(reason: Error): void {
    // Being superseded also ends what a cancellation had left to do.
    if (this.#ended && (this.#ended instanceof Superseded || !(reason instanceof Superseded))) return
    this.#ended = reason
    this.#abort.abort(reason)
    for (const wake of this.#waiters) wake()
  }
}

export class Leases {
  readonly #held = new Map<number, Lease>()

  hold(lease: Lease): () => void {
    this.#held.set(lease.fence, lease)
    return () => void this.#held.delete(lease.fence)
  }

  get size(): number {
    return this.#held.size
  }

  /** One statement for all attempts of this process. An attempt whose row does not answer is superseded; one whose cancellation was asked is told so. */
  async beat(db: Queryable, leaseMs: number): Promise<void> {
    const asked = [...this.#held.values()]
    if (!asked.length) return
    const sentAt = performance.now()
    const answers = new Map<number, Beat>(
      (
        await heartbeat(
          db,
          asked.map(lease => lease.fence),
          leaseMs,
        )
      ).map(beat => [beat.fence, beat]),
    )
    for (const lease of asked) {
      if (this.#held.get(lease.fence) !== lease) continue // it ended while the statement was under way
      const answer = answers.get(lease.fence)
      if (!answer) lease.end(new Superseded('this attempt was taken over: its lease had run out', { code: 'superseded' }))
      else {
        lease.confirm(sentAt)
        if (answer.cancelAsked) lease.end(new Cancelled(answer.cancelActor ?? 'somebody'))
      }
    }
  }
}
