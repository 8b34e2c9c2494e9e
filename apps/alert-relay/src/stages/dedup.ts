// Tells an episode once per channel, again after the route's interval, and its end to those who heard of it.
import type { AlertState } from '@dbops/ledger/alerts'
import { type Told, toldOf } from '@dbops/ledger/deliveries'
import { isSent, type Reason, type Stage } from '../stage.ts'

export const dedup: Stage = async (db, notice) => {
  const { episode, channel, repeat, now } = notice
  const told = await toldOf(db, episode.id, channel)
  const why = decide(episode.state, told, repeat, now)
  return isSent(why) ? { ...notice, why, nth: told.filter(({ state }) => state === episode.state).length } : why
}

/** `told` is what the channel was told of this episode, the oldest first; `repeat` in milliseconds. */
export function decide(state: AlertState, told: Told[], repeat: number, now: Date): Reason {
  const last = told.at(-1)
  if (state === 'resolved') {
    if (last?.state === 'resolved') return 'told'
    // Who was not reached with the alarm is spared the all-clear.
    return told.some(({ status }) => status !== 'failed') ? 'resolved' : 'never_told'
  }
  if (!last) return 'first'
  if (now.getTime() - last.createdAt.getTime() < repeat) return 'within_repeat_interval'
  // While a receiver is away its repeats do not pile up.
  return last.status === 'pending' ? 'still_pending' : 'repeat'
}
