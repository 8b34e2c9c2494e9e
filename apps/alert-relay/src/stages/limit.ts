// No channel gets a flood: what is over its rate waits until it is looked at again, and is never told when it resolves before that. Resolutions pass: there are
// no more of them than alarms.
import { writtenSince } from '@dbops/ledger/deliveries'
import type { Stage } from '../stage.ts'

/** Per channel. Chat services take about one a second and person less; 30 is the lowest limit among them (Discord, per minute and channel). */
export const perMinute = 30

export const limit: Stage = async (db, notice) => {
  if (notice.episode.state === 'resolved') return notice
  const written = await writtenSince(db, notice.channel, new Date(notice.now.getTime() - 60_000))
  return written >= perMinute ? 'over_limit' : notice
}
