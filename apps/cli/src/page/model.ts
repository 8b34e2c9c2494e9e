// What a page knows: what `up` has said, and what the ledger knows at one moment.
import type { Colour } from '../print.ts'
import type { Said } from '../up/teller.ts'

/** A line that was said, and when. */
export interface Told extends Said {
  at: Date
  /** An alert that fires stands above all others, what only makes somebody wait below. */
  rank?: 'first' | 'last'
}

export interface Progress {
  done: number
  total: number | null
  unit: string
  note?: string
}

/** What the ledger knows at one moment. */
export interface Seen {
  /** By the ledger's clock. */
  now: Date
  services: { app: string; words: string; colour: Colour; reasons: string[] }[]
  targets: { name: string; state: 'up' | 'down' | 'not read yet' }[]
  alerts: number
  findings: number
  /** That nobody has let go out again. */
  deadLetters: number
  next: { schedule: string; work: string; target: string | null; at: Date | null; event: string | null; pausedUntil: Date | null }[]
  /** With what waits and what is parked. */
  running: {
    work: string
    target: string | null
    words: string
    since: Date
    progress: Progress | null
    waitingFor: string | null
    /** When it is tried again, where an attempt has failed. */
    again: Date | null
  }[]
  /** The newest first. */
  last: Told[]
  /** The newest first; the page puts those that fire above. */
  notifications: Told[]
}

export interface Model {
  environment: string | undefined
  /** Beside the environment: which plan, kept where. */
  note: string
  /** Undefined as long as no ledger was read: then `said` is shown. */
  seen: Seen | undefined
  /** Seconds since `up` was called, as long as nothing is seen: that something moves says that it goes on. */
  waited?: number
  /** What `up` said, the oldest first. */
  said: Told[]
  /** Why what is seen is old; undefined while the ledger answers. */
  trouble?: string | undefined
  /** The last line: what can be done. */
  foot: string
  /** For the times on it. */
  zone: string
}
