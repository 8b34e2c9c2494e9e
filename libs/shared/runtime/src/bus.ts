// Reads `dbops:events` in a consumer group. What Redis delivers at least once takes effect once: the inbox row is written in the effect's own transaction.
import type { Envelope } from '@dbops/contract/envelope'
import { failureOf } from '@dbops/contract/failure'
import type { SignalName } from '@dbops/contract/signals'
import { setAside as keepDeadLetter } from '@dbops/ledger/dead-letters'
import { failed, firstTimes, forget } from '@dbops/ledger/inbox'
import { isConnectionProblem, type Ledger, type Queryable } from '@dbops/ledger/ledger'
import type { Redis } from 'ioredis'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { largest, readEvent, valueOf } from './read-event.ts'
import { type Entry, ensureGroupOf, readStream } from './stream-reader.ts'

export const stream = 'dbops:events'
/** Of signed commands. */
export const commandStream = 'dbops:commands'
// The braces keep all three keys in one slot of a Redis Cluster.
export const markKey = `{${stream}}:mark`
export const deadLetters = `{${stream}}:dlq`

/** Failures of the handler on one entry before it is set aside. Counted in the ledger: Redis's own counter also counts reconnects. */
const tries = 10

export interface Reader {
  /** Its own connection: it blocks. */
  blocking: Redis
  /** For acknowledgements and claims. */
  prompt: Redis
  ledger: Ledger
  group: string
  consumer: string
  signal: AbortSignal
  log: Log
  metrics: Metrics
  /** Those that are this reader's business, of these; events of the others are acknowledged without a transaction. Left out: all are. */
  concerns?(signals: SignalName[]): Promise<ReadonlySet<SignalName>>
  /**
   * Called in a transaction, which several events may share, in their order, and once per event. What it throws is tried again, and after ten times the entry is set
   * aside as a dead letter.
   */
  handle(db: Queryable, event: Envelope): Promise<void>
  /** Called at each round trip, at each entry, and when Redis or the ledger was found away: the reader lives. */
  onTurn?: () => void
}

interface Delivered {
  /** Of the entry. */
  id: string
  fields: string[]
  event: Envelope
  signal: SignalName
}
type Outcome = 'handled' | 'seen_before'

/** Reads until the signal aborts. Never throws for what it reads, nor for a Redis or a ledger that is away: it waits for them. */
export async function consume(r: Reader): Promise<void> {
  const handled = r.metrics.counter('dbops_events_handled_total', 'events read from dbops:events, by what became of them', [
    'group',
    'outcome',
  ])
  const count = (outcome: string) => handled.inc({ group: r.group, outcome })

  const acknowledge = (...ids: string[]) => r.prompt.xack(stream, r.group, ...ids)
  // In the ledger first, which outlives Redis: from there it can be replayed. `event`: its id, when it is one.
  const setAside = async (id: string, fields: string[], reason: string, eventId: string | null) => {
    const event = valueOf(fields) ?? ''
    const ce = eventId === null && event.length > 1_024 ? `${event.slice(0, 1_024)}…` : event
    await keepDeadLetter(r.ledger, { reader: r.group, entry: id, reason, event: eventId, ce })
    await r.prompt.xadd(
      deadLetters,
      'MAXLEN',
      '~',
      '10000',
      '*',
      'group',
      r.group,
      'entry',
      id,
      'reason',
      reason,
      'ce',
      event.length > largest ? `${event.slice(0, 1024)}…` : event,
    )
    await acknowledge(id)
    count('dead_letter')
    r.log.warn({ event: 'dead_letter', group: r.group, entry: id, reason }, `entry ${id} was set aside: ${reason}`)
  }

  /** False: some stay pending, and come again. `again`: they were delivered before, and may have failed. */
  async function take(entries: Entry[], again: boolean): Promise<boolean> {
    const events = await passBy(await sort(entries))
    // One transaction for all that is new, at the price of one commit; what spoils it is found by taking each alone.
    const together = !again && events.length > 1 ? await handleAll(events) : undefined
    if (together) {
      await acknowledge(...events.map(({ id }) => id))
      together.forEach(count)
      return true
    }
    let all = true
    for (const each of events) if (!(await takeAlone(each, again))) all = false
    return all
  }

  /** Those that are events that we know; the others are done with. */
  async function sort(entries: Entry[]): Promise<Delivered[]> {
    const events: Delivered[] = []
    const over: string[] = []
    const be = (id: string, outcome: string) => {
      over.push(id)
      count(outcome)
    }
    for (const [id, fields] of entries) {
      const read = fields && readEvent(fields)
      if (!read)
        be(id, 'trimmed') // while it was pending
      else if ('skip' in read) be(id, 'unknown_type')
      else if ('reason' in read) await setAside(id, fields, read.reason, null)
      else events.push({ id, fields, ...read })
    }
    if (over.length) await acknowledge(...over)
    return events
  }

  /** Those that are this reader's business; the others are done with. */
  async function passBy(events: Delivered[]): Promise<Delivered[]> {
    if (!r.concerns || !events.length) return events
    const mine = await r.concerns([...new Set(events.map(({ signal }) => signal))])
    const over = events.filter(({ signal }) => !mine.has(signal))
    if (over.length) await acknowledge(...over.map(({ id }) => id))
    over.forEach(() => count('passed_by'))
    return events.filter(({ signal }) => mine.has(signal))
  }

  /** What became of each; undefined where the handler failed on one, and nothing took effect. */
  async function handleAll(events: Delivered[]): Promise<Outcome[] | undefined> {
    try {
      return await handle(events)
    } catch (error) {
      if (isConnectionProblem(error)) throw error
      r.log.debug({ event: 'taken_alone', group: r.group, entries: events.length }, failureOf(error).message)
      return undefined
    }
  }

  async function handle(events: Delivered[]): Promise<Outcome[]> {
    return r.ledger.transaction(async db => {
      const fresh = await firstTimes(
        db,
        r.group,
        events.map(({ event }) => event.id),
      )
      const outcomes: Outcome[] = []
      for (const { event } of events) {
        // Taken out of the set as it comes: it may be there twice.
        const first = fresh.delete(event.id)
        if (first) await r.handle(db, event)
        outcomes.push(first ? 'handled' : 'seen_before')
        r.onTurn?.()
      }
      return outcomes
    })
  }

  async function takeAlone(one: Delivered, again: boolean): Promise<boolean> {
    const { id, fields, event } = one
    let outcomes: Outcome[]
    try {
      outcomes = await handle([one])
    } catch (error) {
      if (isConnectionProblem(error)) throw error // the ledger is away: nobody's fault, nothing is counted
      const failure = failureOf(error)
      const failures = await failed(r.ledger, r.group, id, failure)
      r.log.error({ event: 'handler_failed', group: r.group, entry: id, failures, error }, `entry ${id}: ${failure.message}`)
      count('failed')
      if (failures < tries) return false
      await setAside(id, fields, `its handler failed ${failures} times, last: ${failure.message}`, event.id)
      await forget(r.ledger, r.group, id)
      return true
    }
    // Outside of what is counted: a Redis that goes away just now is no fault of the handler.
    if (again) await forget(r.ledger, r.group, id)
    await acknowledge(id)
    outcomes.forEach(count)
    return true
  }

  await readStream({ ...r, stream, take })
}

/** The group, made at the beginning of the stream if it is not there: what was written before its reader came is read too. */
export const ensureGroup = (redis: Redis, group: string): Promise<void> => ensureGroupOf(redis, stream, group)
