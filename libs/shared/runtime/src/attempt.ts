// One attempt of one run as its process has it in hand, and the ways in which its work can be interrupted.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Store } from '@dbops/artifacts/store'
import type { Proof, Task } from '@dbops/contract/task'
import { isConnectionProblem } from '@dbops/ledger/ledger'
import type { Besides, Run } from '@dbops/ledger/runs'
import type { EngineDriver, OpenTarget } from './engine.ts'
import { type Lease, Superseded } from './leases.ts'
import type { Service } from './service.ts'

export interface Attempt<Verbs> extends Besides {
  service: Service
  driver: EngineDriver<Verbs>
  task: Task<Verbs>
  run: Run
  target: OpenTarget | null
  store: () => Promise<Store>
  lease: Pick<Lease, 'guard' | 'aside'>
  abort: AbortController
}

export class Parked extends Error {
  readonly until: Date
  readonly state: unknown
  constructor(until: Date, state: unknown) {
    super('parked')
    this.until = until
    this.state = state
  }
}
export class TimedOut extends Error {
  readonly code = 'timeout'
}
export class NotProven extends Error {
  readonly code = 'not_proven'
  readonly facts: Record<string, unknown>
  readonly proof: Proof
  constructor(facts: Record<string, unknown>, proof: Proof) {
    super(proof.reason)
    this.facts = facts
    this.proof = proof
  }
}
export class HeldElsewhere extends Error {}
/** The window of the run closed, and it is one that stops what is in it. */
export class WindowClosed extends Error {
  readonly code = 'window_closed'
}

export const superseded = () => new Superseded('this attempt was taken over', { code: 'superseded' })

/** Repeats a statement to the ledger while that is away. */
export async function untilLedger<V, T>(a: Attempt<V>, ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isConnectionProblem(error) || a.service.signal.aborted) throw error
      await sleep(1_000, undefined, { ref: false })
    }
  }
}
