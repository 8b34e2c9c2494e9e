// Whether more comes in than goes out: each backlog, the memory of Redis and the answers of the ledger against a limit. What is beyond it stands as a finding until it has fallen well below.
import { formatDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import { installation, overloadsStanding, saveFindings } from '@dbops/ledger/findings'
import { publish } from '@dbops/ledger/outbox'
import { findingEvent } from '@dbops/runtime/finding-event'
import { type Memory, mebibytes } from '@dbops/runtime/redis'
import type { Service } from '@dbops/runtime/service'

export interface Load {
  now: Date
  queues: { engine: string; lane: string; waiting: number; running: number; oldest: Date | null }[]
  outbox: { due: number; oldest: Date | null }
  readers: { reader: string; behind: number }[]
  /** Null while Redis is away: that is told by those who are hindered. */
  redis: Memory | null
  /** How long the ledger takes to answer each service, ms. */
  answers: { service: string; ms: number }[]
}

/** Runs, events and ms beyond which it is told; well above what a busy night piles up. */
const limits = { waiting: 1_000, due: 10_000, behind: 10_000, answer: 150, memory: 0.9 }
/** It is over below this share of the limit, so that what swings around it is told once. */
const overAt = { backlog: 0.5, memory: 0.9 }
const tells = { opened: 'overload_began', gone: 'overload_ended' } as const
const source = { target: installation, source: 'overload' }

/** What is too much at this moment. `standing`: the keys of what was too much at the last look. */
export function overloads({ now, queues, outbox, readers, redis, answers }: Load, standing: ReadonlySet<string>): Fault[] {
  const isOver = (key: string, value: number, limit: number, share = overAt.backlog) => value >= (standing.has(key) ? limit * share : limit)
  const since = (oldest: Date | null) => (oldest ? `, the oldest for ${formatDuration(Math.max(0, now.getTime() - oldest.getTime()))}` : '')
  const faults: Fault[] = []
  const find = (key: string, what: string, hint: string, evidence: Record<string, unknown>, level: Fault['level'] = 'warning') =>
    faults.push({ key, level, what, hint, evidence, tells })
  for (const { engine, lane, waiting, running, oldest } of queues) {
    const key = `queue ${engine}-${lane}`
    if (isOver(key, waiting, limits.waiting))
      find(
        key,
        `${waiting} runs wait for ${engine}-${lane}${since(oldest)}; ${running} are at work`,
        'they are begun in their order, and told when their deadline passes first; more maintainers or a larger --concurrency help where the caps of the targets allow it',
        { waiting, running },
      )
  }
  if (isOver('outbox', outbox.due, limits.due))
    find(
      'outbox',
      `${outbox.due} events are not in the stream yet${since(outbox.oldest)}`,
      'they are kept in the ledger and go out in their order; is the operations Redis full or slow?',
      { due: outbox.due },
    )
  for (const { reader, behind } of readers)
    if (isOver(`reader ${reader}`, behind, limits.behind))
      find(
        `reader ${reader}`,
        `reader ${reader} is ${behind} events behind`,
        'is it running? What it has not read is kept until its maxLag',
        { behind },
      )
  if (redis?.limit && isOver('redis', redis.used / redis.limit, limits.memory, overAt.memory))
    find(
      'redis',
      `the operations Redis uses ${mebibytes(redis.used)} of its ${mebibytes(redis.limit)} MiB`,
      'raise its maxmemory; what every registered reader has read is trimmed early meanwhile',
      { used: redis.used, limit: redis.limit },
      redis.used >= redis.limit ? 'error' : 'warning',
    )
  const slowest = answers.toSorted((a, b) => b.ms - a.ms)[0]
  if (slowest && isOver('ledger', slowest.ms, limits.answer))
    find(
      'ledger',
      `the ledger takes ${slowest.ms} ms to answer ${slowest.service}`,
      'look at its disk, at what else its server does, and at the way to it; all goes on, only slower',
      { ms: slowest.ms, service: slowest.service },
    )
  return faults
}

/** Writes down what is too much and tells what began and what is over. Held by one scheduler at a time: its caller sees to that. */
export async function watchOverload(service: Pick<Service, 'ledger' | 'event' | 'log'>, load: Load): Promise<void> {
  const { ledger, log } = service
  const known = await overloadsStanding(ledger)
  const faults = overloads(load, new Set(known.map(({ key }) => key)))
  if (!faults.length && !known.length) return
  const { opened, gone } = await ledger.transaction(async db => {
    const found = await saveFindings(db, source, faults)
    await publish(db, [
      ...found.opened.map(one => findingEvent(service, 'dbops', one, 'opened')),
      ...found.gone.map(one => findingEvent(service, 'dbops', one, 'gone')),
    ])
    return found
  })
  for (const { what, hint } of opened) log.warn({ event: 'overload_began', hint }, what)
  for (const { key } of gone) log.info({ event: 'overload_ended', key }, `${key}: what had piled up is worked off`)
}
