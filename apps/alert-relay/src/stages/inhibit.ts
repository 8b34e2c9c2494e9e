// A target that does not answer fails everything that is done to it: its connection alert is told, the rest of that target is not. A resolution always goes on.
import { signalNames } from '@dbops/contract/signals'
import { firingBeside } from '@dbops/ledger/alerts'
import type { Stage } from '../stage.ts'

const lostConnections = signalNames.filter(name => name.endsWith('_connection_failed'))

export const inhibit: Stage = async (db, notice) => {
  const { episode } = notice
  if (episode.state === 'resolved') return notice
  return (await firingBeside(db, episode, lostConnections)) ? 'inhibited' : notice
}
