// Reads `dbops:events` in a consumer group. What Redis delivers at least once takes effect once: the inbox row is written in the effect's own transaction.
import { type Envelope, envelope, signalOf } from '@dbops/contract/envelope'
import { failureOf } from '@dbops/contract/failure'
import { isKeepable } from '@dbops/contract/keepable'
import { signals } from '@dbops/contract/signals'
import { setAside as keepDeadLetter } from '@dbops/ledger/dead-letters'
import { failed, firstTime, forget } from '@dbops/ledger/inbox'
import { isConnectionProblem, type Ledger, type Queryable } from '@dbops/ledger/ledger'
import type { Redis } from 'ioredis'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { type Entry, ensureGroupOf, readStream } from './stream-reader.ts'

export const stream = 'dbops:events'
/** Of signed commands. */
export const commandStream = 'dbops:commands'
// The braces keep all three keys in one slot of a Redis Cluster.
export const markKey = `{${stream}}:mark`
export const deadLetters = `{${stream}}:dlq`

/** Larger entries are no events of ours. */
const largest = 1024 * 1024
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
  /** False: the event is none of this reader's business, and is acknowledged without a transaction. Left out: all are. */
  concerns?(event: Envelope): Promise<boolean>
  /** Called in a transaction, once per event. What it throws is tried again, and after ten times the entry is set aside as a dead letter. */
  handle(db: Queryable, event: Envelope): Promise<void>
  /** Called at each round trip, at each entry, and when Redis or the ledger was found away: the reader lives. */
  onTurn?: () => void
}

/** Reads until the signal aborts. Never throws for what it reads, nor for a Redis or a ledger that is away: it waits for them. */
export async function consume(r: Reader): Promise<void> {
  const handled = r.metrics.counter('dbops_events_handled_total', 'events read from dbops:events, by what became of them', [
    'group',
    'outcome',
  ])
  const count = (outcome: string) => handled.inc({ group: r.group, outcome })

  const acknowledge = (id: string) => r.prompt.xack(stream, r.group, id)
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

  /** True: done with. False: it stays pending and comes again. `again`: it was delivered before, and may have failed. */
  async function take([id, fields]: Entry, again: boolean): Promise<boolean> {
    if (!fields) {
      await acknowledge(id) // trimmed while it was pending
      count('trimmed')
      return true
    }
    const read = parse(fields)
    if ('reason' in read) {
      await setAside(id, fields, read.reason, null)
      return true
    }
    if ('skip' in read) {
      await acknowledge(id)
      count('unknown_type')
      return true
    }
    let outcome: string
    try {
      outcome = await effectOf(read.event)
    } catch (error) {
      if (isConnectionProblem(error)) throw error // the ledger is away: nobody's fault, nothing is counted
      const failure = failureOf(error)
      const failures = await failed(r.ledger, r.group, id, failure)
      r.log.error({ event: 'handler_failed', group: r.group, entry: id, failures, error }, `entry ${id}: ${failure.message}`)
      count('failed')
      if (failures < tries) return false
      await setAside(id, fields, `its handler failed ${failures} times, last: ${failure.message}`, read.event.id)
      await forget(r.ledger, r.group, id)
      return true
    }
    // Outside of what is counted: a Redis that goes away just now is no fault of the handler.
    if (again) await forget(r.ledger, r.group, id)
    await acknowledge(id)
    count(outcome)
    return true
  }

  async function effectOf(event: Envelope): Promise<string> {
    if (r.concerns && !(await r.concerns(event))) return 'passed_by'
    return r.ledger.transaction(async db => {
      const fresh = await firstTime(db, r.group, event.id)
      if (fresh) await r.handle(db, event)
      return fresh ? 'handled' : 'seen_before'
    })
  }

  await readStream({ ...r, stream, take })
}

/** The group, made at the beginning of the stream if it is not there: what was written before its reader came is read too. */
export const ensureGroup = (redis: Redis, group: string): Promise<void> => ensureGroupOf(redis, stream, group)

const valueOf = (fields: string[]): string | undefined => fields[fields.findIndex((name, i) => i % 2 === 0 && name === 'ce') + 1]

function parse(fields: string[]): { event: Envelope } | { reason: string } | { skip: true } {
  if (!fields.some((name, i) => i % 2 === 0 && name === 'ce')) return { reason: 'it has no field "ce"' }
  const text = valueOf(fields) ?? ''
  if (Buffer.byteLength(text) > largest) return { reason: `it is larger than ${largest} bytes` }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { reason: 'its field "ce" is no JSON' }
  }
  // No effect in the ledger could hold it, and no outbox send it again.
  if (!isKeepable(value)) return { reason: 'it holds U+0000 or half a surrogate pair, which no database keeps' }
  const parsed = envelope.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    return { reason: `it is no event: ${issue.path.join('.') || 'envelope'}: ${issue.message}` }
  }
  const signal = signalOf(parsed.data.type)
  if (!signal) return { skip: true } // of a newer version, or another system's
  const data = signals[signal].data.safeParse(parsed.data.data)
  if (!data.success)
    return { reason: `its data is not that of ${signal}: ${data.error.issues[0]!.path.join('.')}: ${data.error.issues[0]!.message}` }
  return { event: parsed.data }
}
