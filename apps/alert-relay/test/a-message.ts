// One message of each state, whole, as the pipeline writes it.
import type { AlertState, Episode } from '@dbops/ledger/alerts'
import { type Message, messageOf } from '../src/message.ts'
import { at, event } from './relay-bench.ts'

/** The dump `metadata` of `pg/core` failed at 05:00 and, when resolved, succeeded at 06:30. */
export function message(state: AlertState, more: Partial<Episode> = {}, nth = 0): Message {
  return messageOf(episode(state, more), { episode: id, channel: 'ops', state, nth })
}

const id = '01900000-0000-7000-8000-00000000a1e7'
const failed = event({ at: '05:00' })
const completed = event({ at: '06:30', event: 'backup_completed' })

const episode = (state: AlertState, more: Partial<Episode>): Episode => ({
  id,
  fingerprint: 'backup_failed test pg/core pg.dump:metadata',
  name: 'backup_failed',
  environment: 'test',
  engine: 'pg',
  target: 'core',
  operation: 'pg.dump:metadata',
  n: 1,
  state,
  severity: 'critical',
  since: at('05:00'),
  resolvedAt: state === 'resolved' ? at('06:30') : null,
  failures: 1,
  event: failed,
  resolvedBy: state === 'resolved' ? completed : null,
  endedBy: null,
  ...more,
})
