// Reads what the page shows from the ledger, with a handful of small statements each time.
import { type Envelope, signalOf } from '@dbops/contract/envelope'
import { alertsOf } from '@dbops/contract/signals'
import { type AlertRow, firingBySeverity, listAlerts } from '@dbops/ledger/alerts'
import { deadLettersByReader } from '@dbops/ledger/dead-letters'
import { countOpen } from '@dbops/ledger/findings'
import type { Ledger } from '@dbops/ledger/ledger'
import { recent } from '@dbops/ledger/outbox'
import { standing } from '@dbops/ledger/pauses'
import { healthOfTargets } from '@dbops/ledger/probes'
import { isFinal, list, type Run, type State, unfinished } from '@dbops/ledger/runs'
import { listSchedules } from '@dbops/ledger/schedules'
import { listTriggers } from '@dbops/ledger/triggers'
import type { Config } from '@dbops/runtime/config'
import { workWords } from '../runs/operation-words.ts'
import { isTriedAgain, stateWords } from '../runs/run-record.ts'
import { pauseOf } from '../schedules.ts'
import { sentence } from '../up/sentences.ts'
import { listWorkers, readyColour, readyWords, withoutGhosts } from '../workers.ts'
import type { Progress, Seen, Told } from './model.ts'

/** More than any terminal has lines. */
const most = 100
/** Fetched at most: of those that nobody starts there may be many. */
const mostEvents = 1_000
/** Numbers are given before a transaction commits, so a lower one may appear after a higher one: we look back this far. */
const lookBack = 50

/** Remembers the events that are worth a line, so that each event is fetched once or twice. */
export function pageReader(ledger: Ledger, config: Config | undefined): () => Promise<Seen> {
  const heard = new Map<number, Envelope>()
  let newest = 0
  return async () => {
    for (const { n, ce } of await recent(ledger, { after: Math.max(0, newest - lookBack), limit: mostEvents })) {
      if (isEnd(ce) || isNews(ce)) heard.set(n, ce)
      newest = Math.max(newest, n)
    }
    for (const n of [...heard.keys()].toSorted((a, b) => b - a).slice(2 * most)) heard.delete(n)
    const events = [...heard].toSorted(([a], [b]) => b - a).map(([, ce]) => ce)
    const firing = await firingBySeverity(ledger)
    // What fires is never hidden by what was resolved since.
    const alerts = [
      ...(await listAlerts(ledger, { limit: most, state: 'firing' })),
      ...(await listAlerts(ledger, { limit: most, state: 'resolved' })),
    ]
    return {
      now: await ledger.now(),
      services: withoutGhosts(await listWorkers(ledger, config)).map(one => ({
        app: one.app,
        words: readyWords(one),
        colour: readyColour(one),
        reasons: one.reasons,
      })),
      targets: (await healthOfTargets(ledger)).map(({ name, state }) => ({
        name,
        state: state === 'ok' ? 'up' : state === 'failed' ? 'down' : 'not read yet',
      })),
      alerts: firing.reduce((sum, { firing: n }) => sum + n, 0),
      findings: await countOpen(ledger),
      deadLetters: (await deadLettersByReader(ledger)).reduce((sum, { waiting }) => sum + waiting, 0),
      next: await nextRuns(ledger),
      running: (await list(ledger, { states: [...unfinished], limit: most })).map(standingRun).toSorted(byState),
      last: events.filter(isEnd).map(told),
      notifications: [...alerts.map(alertTold), ...once(events.filter(isNews)).map(told)].toSorted(
        (a, b) => b.at.getTime() - a.at.getTime(),
      ),
    }
  }
}

/** By time; those that wait for an event last. */
async function nextRuns(ledger: Ledger): Promise<Seen['next']> {
  const [pauses, triggers] = [await standing(ledger), await listTriggers(ledger)]
  const all = (await listSchedules(ledger)).filter(({ enabled }) => enabled)
  return all
    .map(schedule => {
      const { name, target, spec } = schedule
      const at = schedule.dueAt ?? triggers.find(one => one.schedule === name && one.target === target)?.fireAt ?? null
      const pausedUntil = (at && pauseOf(pauses, schedule, at)?.until) ?? null
      return { schedule: name, work: workWords(spec.operation, spec.params), target, at, event: spec.event ?? null, pausedUntil }
    })
    .filter(({ at, event }) => at ?? event)
    .toSorted((a, b) => (a.at?.getTime() ?? Infinity) - (b.at?.getTime() ?? Infinity))
}

const standingRun = (run: Run): Seen['running'][number] => ({
  work: workWords(run.operation, run.spec.params),
  target: run.target,
  words: stateWords(run.state),
  since: run.startedAt ?? run.queuedAt,
  progress: run.progress as Progress | null,
  waitingFor: run.waitingFor,
  again: isTriedAgain(run) ? run.notBefore : null,
})
const order = ['running', 'parked', 'awaiting approval', 'queued']
const byState = (a: { words: string }, b: { words: string }) => order.indexOf(a.words) - order.indexOf(b.words)

/** Of a run, for good. (`queued`: it was lost and goes on.) */
const isEnd = ({ data }: Envelope) => 'task' in data && isFinal(data['state'] as State)
/** What nobody started and no alert tells. */
const isNews = (ce: Envelope) => {
  const event = signalOf(ce.type)
  const isSmall = ce.severity === 'info' || ce.data['level'] === 'info'
  return !isSmall && !isEnd(ce) && !(event && alertsOf(event).opens)
}
const told = (ce: Envelope): Told => ({
  at: new Date(ce.time),
  ...sentence(ce),
  ...(signalOf(ce.type) === 'db_query_slow' ? { rank: 'last' } : {}),
})

/** The newest of those that say the same of the same. */
function once(events: Envelope[]): Envelope[] {
  const seen = new Set<string>()
  return events.filter(ce => {
    const key = JSON.stringify([ce.type, ce.subject, ce.operation, ce.data['key'] ?? ce.data['query'] ?? null])
    return !seen.has(key) && seen.add(key)
  })
}

function alertTold({ name, target, operation, state, since, endedBy, deliveries }: AlertRow): Told {
  const reached = [...new Set(deliveries.flatMap(({ channel, state }) => (state === 'delivered' ? [channel] : [])))]
  const failed = [...new Set(deliveries.flatMap(({ channel, state }) => (state === 'failed' ? [channel] : [])))]
  const whom = [reached.length ? `told ${reached.join(', ')}` : 'told nobody', failed.length ? `not reached: ${failed.join(', ')}` : '']
  const end = state === 'firing' ? 'fires' : endedBy === null ? 'resolved' : `ended by ${endedBy}`
  return {
    // What it was told at last; an alert that nobody was told of stands at its beginning.
    at: new Date(deliveries.at(-1)?.at ?? since),
    subject: target ?? '',
    text: `${name} ${end}: ${operation}; ${whom.filter(Boolean).join('; ')}`,
    ...(state === 'firing' ? { tone: 'bad', rank: 'first' } : { tone: 'good' }),
  }
}
