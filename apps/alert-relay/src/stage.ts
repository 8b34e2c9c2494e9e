// A stage of the pipeline looks at one notice and hands it on, or ends it with a reason. Reasons are values: stored, counted, shown.
import type { Episode } from '@dbops/ledger/alerts'
import type { Queryable } from '@dbops/ledger/ledger'

/** Why a notification goes out. */
export const sent = ['first', 'repeat', 'resolved'] as const
/** Why none does. */
export const held = [
  'no_route',
  'already_resolved',
  'inhibited',
  'still_pending',
  'within_repeat_interval',
  'never_told',
  'told',
  'over_limit',
] as const
export type Sent = (typeof sent)[number]
export type Reason = Sent | (typeof held)[number]
export const isSent = (reason: Reason): reason is Sent => (sent as readonly string[]).includes(reason)

/** An episode on its way to one channel. */
export interface Notice {
  episode: Episode
  channel: string
  /** Milliseconds between repeats. */
  repeat: number
  now: Date
  why: Sent
  nth: number
}

export type Stage = (db: Queryable, notice: Notice) => Promise<Notice | Reason>
