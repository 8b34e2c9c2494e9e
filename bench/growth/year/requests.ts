// Every request that the command line and the loops of the scheduler make of the ledger, by the command that makes it.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { trimCommands } from '@dbops/ledger/commands'
import { trimDeadLetters } from '@dbops/ledger/dead-letters'
import { endOrphans, trimFindings } from '@dbops/ledger/findings'
import { trimInbox } from '@dbops/ledger/inbox'
import type { Queryable } from '@dbops/ledger/ledger'
import { backlog, isDue, trimOutbox } from '@dbops/ledger/outbox'
import { standing } from '@dbops/ledger/pauses'
import * as runs from '@dbops/ledger/runs'
import { anyDue, lastSuccesses } from '@dbops/ledger/schedules'
import { anyTriggerDue, schedulesTriggered } from '@dbops/ledger/triggers'

const folder = join(import.meta.dirname, '../../../apps/cli/src/commands')

/** Commands that ask the ledger nothing, or ask another first: the scheduler, by a row that it answers. */
const elsewhere = new Set(
  `bench chaos config-check config-diff config-render derive down test up version
   run retry approve reject backups-verify ledger-restored ledger-migrate`.split(/\s+/),
)

/** The tails of ids. */
export interface Known {
  run: string
  alert: string
  finding: string
  artifact: string
  deadLetter: string
}

/** Command lines, by the file of their command. Errors: a command that is not here and does not ask elsewhere. */
export function requestsOf({ run, alert, finding, artifact, deadLetter }: Known): string[][] {
  const requests: Record<string, string[][]> = {
    status: [['status']],
    doctor: [['doctor']],
    runs: [
      ['runs'],
      ['runs', '--state', 'failed'],
      ['runs', '--state', 'running'],
      ['runs', '--task', 'pg.dump'],
      ['runs', '--target', 'core-7'],
      ['runs', '--target', 'core-7', '--state', 'failed'],
      ['runs', '--task', 'pg.vacuum', '--state', 'cancelled'],
      ['runs', '--since', '2h', '--limit', '1000'],
      ['runs', '--since', '500d'],
    ],
    'runs-show': [['runs', 'show', run]],
    logs: [['logs', run]],
    cancel: [['cancel', run, '--yes']],
    'locks-release': [['locks', 'release', run, '--reason', 'bench', '--yes']],
    schedules: [['schedules']],
    targets: [['targets']],
    'targets-check': [['targets', 'check', 'core-7']],
    probes: [['probes'], ['probes', '--target', 'core-7']],
    workers: [['workers']],
    locks: [['locks']],
    events: [['events'], ['events', '--since', '2h']],
    alerts: [['alerts'], ['alerts', '--state', 'resolved']],
    'alerts-resolve': [['alerts', 'resolve', alert, '--yes']],
    findings: [['findings'], ['findings', '--target', 'core-7']],
    'findings-show': [['findings', 'show', finding]],
    'findings-acknowledge': [['findings', 'acknowledge', finding, '--yes']],
    backups: [['backups'], ['backups', '--target', 'core-7']],
    'backups-show': [['backups', 'show', artifact]],
    dlq: [['dlq']],
    'dlq-show': [['dlq', 'show', deadLetter]],
    'dlq-replay': [['dlq', 'replay', deadLetter, '--yes']],
    'dlq-drop': [['dlq', 'drop', deadLetter, '--reason', 'bench', '--yes']],
    report: [['report'], ['report', 'redis.key-review', '--target', 'core-7']],
    pause: [['pause', 'vacuum-7', '--until', '1h', '--yes']],
    resume: [['resume', 'vacuum-7', '--yes']],
    top: [['top'], ['top', '--target', 'core-7', '--window', '14d']],
    'ledger-status': [['ledger', 'status']],
  }
  const commands = readdirSync(folder).map(file => file.replace(/\.ts$/, ''))
  const forgotten = commands.filter(command => !requests[command] && !elsewhere.has(command))
  if (forgotten.length) throw new Error(`bench/growth/year/requests.ts says nothing of ${forgotten.join(', ')}`)
  return Object.values(requests).flat()
}

const day = 86_400_000
/** What the loops of a scheduler ask, each once. What they write is undone by the caller. */
export const loops: Record<string, (db: Queryable, now: Date) => Promise<unknown>> = {
  tick: anyDue,
  dispatch: db => runs.dispatch(db, 200, () => ({ verdict: 'allow' })),
  'offer again': db => runs.unclaimed(db, 10_000),
  'explain waits': runs.explainWaits,
  'reap the lost': db => runs.expired(db, 5_000),
  'end the overdue': runs.overdue,
  plans: runs.planned,
  triggers: async (db, now) => [await anyTriggerDue(db, now), await schedulesTriggered(db, now, 50)],
  publish: async db => [await isDue(db), await backlog(db)],
  freshness: lastSuccesses,
  gauges: async db => [await runs.queues(db), await standing(db)],
  'trim the outbox': (db, now) => trimOutbox(db, new Date(now.getTime() - 7 * day), ['alert-relay'], new Date(now.getTime() - 14 * day)),
  'trim the inbox': (db, now) => trimInbox(db, new Date(now.getTime() - 30 * day)),
  'trim findings': async (db, now) => [await endOrphans(db), await trimFindings(db, new Date(now.getTime() - 90 * day))],
  'trim commands': (db, now) => trimCommands(db, new Date(now.getTime() - 90 * day)),
  'trim dead letters': (db, now) => trimDeadLetters(db, new Date(now.getTime() - 90 * day)),
}
