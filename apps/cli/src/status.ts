// The whole at a glance, from the ledger alone: who works, what is looked after, what waits, how far the readers of the events are, what comes.
import { firingBySeverity } from '@dbops/ledger/alerts'
import { deadLettersByReader } from '@dbops/ledger/dead-letters'
import { countOpen, overloadsStanding } from '@dbops/ledger/findings'
import type { Ledger } from '@dbops/ledger/ledger'
import { backlog, positions } from '@dbops/ledger/outbox'
import { standing } from '@dbops/ledger/pauses'
import { listReadings } from '@dbops/ledger/probes'
import { queues } from '@dbops/ledger/runs'
import { listSchedules, listTargets } from '@dbops/ledger/schedules'
import type { Context } from './command.ts'
import { Failed } from './fail.ts'
import { away, clock, past } from './moment.ts'
import { ago, type Colour, many, type Print } from './print.ts'
import { figures } from './reading-words.ts'
import { pauseOf } from './schedules.ts'
import { listWorkers, readyColour, readyWords, type Worker, withoutGhosts } from './workers.ts'

const nextShown = 8

export async function status(c: Context): Promise<void> {
  const seconds = watchSeconds(c.options['watch'])
  if (seconds !== undefined) return (await import('./page/watch-status.ts')).watchStatus(c, seconds, () => once(c))
  return once(c)
}

/** Of `--watch [seconds]`; undefined without it. Fails with exit 2. */
function watchSeconds(given: unknown): number | undefined {
  if (given !== true && typeof given !== 'string') return undefined
  const seconds = given === true ? 1 : Number(given)
  if (!(seconds >= 0.2 && seconds <= 3_600))
    throw new Failed('wrong', `--watch: "${given}" is no number of seconds from 0.2 to 3600`, { hint: 'for example --watch 5' })
  return seconds
}

async function once({ print, connect }: Context): Promise<void> {
  const { ledger, environment, config } = await connect()
  const now = await ledger.now()
  const whole = {
    services: withoutGhosts(await listWorkers(ledger, config)),
    targets: await targets(ledger, now),
    queues: await queues(ledger),
    streams: [
      {
        name: 'dbops:events',
        outbox: await backlog(ledger),
        readers: await positions(ledger),
        deadLetters: await deadLettersByReader(ledger),
      },
    ],
    overloads: await overloads(ledger),
    next: await next(ledger),
  }
  print.record(whole)
  if (print.json) return
  print.environment(environment)
  await tell(print, ledger, whole, now)
}

interface TargetStatus {
  name: string
  engine: string
  /** Null: no probe has looked yet. */
  probe: string | null
  state: 'ok' | 'failed' | null
  since: Date | null
  at: Date | null
  /** Seconds since the reading. */
  age: number | null
  result: Record<string, unknown> | null
  error: { code: string; message: string; hint?: string } | null
}

/** One entry for each probe of a target. */
async function targets(ledger: Ledger, now: Date): Promise<TargetStatus[]> {
  const readings = await listReadings(ledger)
  return (await listTargets(ledger)).flatMap(({ name, engine }): TargetStatus[] => {
    const mine = readings.filter(({ target }) => target === name)
    if (!mine.length) return [{ name, engine, probe: null, state: null, since: null, at: null, age: null, result: null, error: null }]
    return mine.map(({ probe, state, since, at, result, error }) => {
      const age = Math.max(0, Math.round((now.getTime() - at.getTime()) / 1_000))
      return { name, engine, probe, state, since, at, age, result, error }
    })
  })
}

/** What is too much at this moment, in words. */
const overloads = async (ledger: Ledger) =>
  (await overloadsStanding(ledger)).map(({ key, level, what, hint, since, evidence }) => ({ key, level, what, hint, since, evidence }))

/** The next slot of every schedule, the nearest first; `pausedUntil` where it will not be run. */
async function next(ledger: Ledger) {
  const pauses = await standing(ledger)
  return (await listSchedules(ledger))
    .filter(({ enabled, dueAt }) => enabled && dueAt)
    .sort((a, b) => a.dueAt!.getTime() - b.dueAt!.getTime())
    .map(schedule => ({
      schedule: schedule.name,
      target: schedule.target,
      task: schedule.task,
      at: schedule.dueAt!,
      pausedUntil: pauseOf(pauses, schedule, schedule.dueAt!)?.until ?? null,
    }))
}

interface Whole {
  services: Worker[]
  targets: TargetStatus[]
  queues: Awaited<ReturnType<typeof queues>>
  streams: {
    name: string
    outbox: { due: number; oldest: Date | null }
    readers: { reader: string; behind: number; copiedAt: Date }[]
    /** Set aside, and not gone out again. */
    deadLetters: { reader: string; waiting: number }[]
  }[]
  overloads: Awaited<ReturnType<typeof overloads>>
  next: Awaited<ReturnType<typeof next>>
}

async function tell(
  print: Print,
  ledger: Ledger,
  { services, targets, queues, streams, overloads, next }: Whole,
  now: Date,
): Promise<void> {
  const title = (text: string) => {
    print.line()
    print.line(print.colour('bold', text))
  }
  title('services')
  print.rows(
    services,
    [
      { head: 'service', of: s => s.app },
      { head: 'state', of: w => readyWords(w), colour: w => readyColour(w) },
      { head: 'heard', of: s => `${ago(s.seenAt, now)} ago` },
      { head: 'about', of: s => s.reasons.join('; ') || (s.address ?? '') },
    ],
    'none was heard of in the last ten minutes; ./dbops up starts them',
  )
  title('targets')
  print.rows(
    // How it is, and what of it cannot be read; all other readings: ./dbops probes.
    targets.filter(({ probe, engine, state }) => probe === null || probe === `${engine}.health` || state === 'failed'),
    [
      { head: 'target', of: t => t.name },
      { head: 'probe', of: t => t.probe ?? t.engine },
      {
        head: 'state',
        of: t => t.state ?? 'not read yet',
        colour: t => (t.state === 'ok' ? 'green' : t.state === 'failed' ? 'red' : 'yellow'),
      },
      { head: 'read', of: t => t.at && `${ago(t.at, now)} ago` },
      { head: 'about', of: t => (t.error ? `since ${past(t.since!, now)}: ${t.error.message}` : figures(t.result)) },
    ],
    'none is configured; see docs/config.md, section targets',
  )
  title('queues')
  print.rows(
    queues,
    [
      { head: 'queue', of: q => `${q.engine}-${q.lane}` },
      { head: 'waiting', of: q => q.waiting, right: true },
      { head: 'running', of: q => q.running, right: true },
      { head: 'parked', of: q => q.parked, right: true },
      { head: 'oldest', of: q => q.oldest && `${ago(q.oldest, now)} ago` },
    ],
    'nothing waits and nothing runs',
  )
  title('events')
  for (const { name, outbox, readers, deadLetters } of streams) {
    const { due, oldest } = outbox
    const waits = due ? `${due} not in the stream yet, the oldest told ${ago(oldest!, now)} ago` : 'all told events are in the stream'
    print.line(print.colour(due && now.getTime() - oldest!.getTime() > 60_000 ? 'yellow' : 'dim', `${name}: ${waits}`))
    for (const { reader, behind, copiedAt } of readers)
      print.line(`${reader}: ${behind ? `${behind} behind` : 'has read all'}, seen ${ago(copiedAt, now)} ago`)
    for (const { reader, waiting } of deadLetters)
      print.line(print.colour('yellow', `${reader}: ${many(waiting, 'dead letter')} set aside: ./dbops dlq --reader ${reader}`))
  }
  if (overloads.length) {
    title('overload')
    for (const { level, what, since } of overloads)
      print.line(print.colour(level === 'error' ? 'red' : 'yellow', `${what} (since ${past(since, now)})`))
  }
  const [firing, open] = [await firingBySeverity(ledger), await countOpen(ledger)]
  if (open) {
    title('findings')
    print.line(`${print.colour('yellow', `${open} open`)}: ./dbops findings`)
  }
  if (firing.length) {
    title('alerts')
    print.line(
      `${print.colour('red', firing.map(({ severity, firing }) => `${firing} ${severity}`).join(', '))} firing: ./dbops alerts --state firing`,
    )
  }
  title('next')
  print.rows(
    next.slice(0, nextShown),
    [
      { head: 'schedule', of: n => n.schedule },
      { head: 'task', of: n => n.task },
      { head: 'target', of: n => n.target },
      { head: 'at', of: n => clock(n.at, now) },
      {
        head: 'in',
        of: n => (n.pausedUntil ? `paused until ${clock(n.pausedUntil, now)}` : away(n.at, now)),
        colour: n => (n.pausedUntil ? 'yellow' : undefined),
      },
    ],
    'no schedule is enabled; see docs/config.md, section schedules',
  )
  if (next.length > nextShown) print.line(print.colour('dim' satisfies Colour, `and ${next.length - nextShown} more: ./dbops schedules`))
}
