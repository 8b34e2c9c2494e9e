// What the runner needs of an engine: to end the sessions of dead attempts, to open the one working session of an attempt, and to open a short one for a probe.
import type { Target } from '@dbops/contract/config-file'
import type { Engine } from '@dbops/contract/names'
import type { Lock } from '@dbops/ledger/runs'

/** A target as its own maintainer sees it. `url` opens the secrets: it is called at each connect, since passwords change. */
export interface OpenTarget<T extends Target = Target> {
  name: string
  config: T
  environment: string
}

/** How the sessions of one attempt are called in the target: `dbops:<installation>:<fence>:<task>`. All of them, those of child processes too. */
export const sessionName = (installation: string, fence: number | string, task: string) => `dbops:${installation}:${fence}:${task}`

export interface SessionRequest {
  /** `sessionName(…)` of the attempt. */
  name: string
  /** Taken in the working session itself, so that a second installation on the same target is kept out. */
  locks: Lock[]
  signal: AbortSignal
  /** Waits until the attempt's lease is confirmed; to be called after the connect and before the first statement. Throws when the attempt is superseded. */
  guard: () => Promise<void>
  /** The session broke: the attempt ends. */
  onLost: (error: Error) => void
}

export interface Session<Verbs> {
  verbs: Verbs
  /** Ends the session and every process and session that belongs to it; resolves when they are gone. Called before the end of the run is written. */
  close(): Promise<void>
}

export interface EngineDriver<Verbs, T extends Target = Target> {
  engine: Engine
  /** Ends every session of these fences of this installation in the target; resolves when none is left, throws when one would not go. The connection is named `name`. */
  evict(target: OpenTarget<T>, fences: number[], installation: string, name: string, signal: AbortSignal): Promise<void>
  /** `locked`: another installation holds one of the locks. */
  open(target: OpenTarget<T>, request: SessionRequest): Promise<Session<Verbs> | 'locked'>
  /** A short session for a probe. */
  look(target: OpenTarget<T>, name: string, signal: AbortSignal): Promise<Session<Verbs>>
  /** What this process finds out about its surroundings at its start: versions of tools, or what is missing, as shown by `doctor`. */
  tools?(): Promise<Finding[]>
  /** What only the server can tell about a target: missing rights, wrong version, a transaction pooler in between. Never throws for what it finds. */
  inspect?(target: OpenTarget<T>, signal: AbortSignal): Promise<Finding[]>
}

export interface Finding {
  target?: string
  level: 'ok' | 'warning' | 'error'
  what: string
  hint?: string
}
