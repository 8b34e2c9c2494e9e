// Keeps stream, outbox, inbox, findings and commands from growing: by age, and never past what a registered reader has not read until that reader is older than its promise.
import { parseDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import { trimCommands } from '@dbops/ledger/commands'
import { trimDeadLetters } from '@dbops/ledger/dead-letters'
import { endOrphans, installation, saveFindings, trimFindings } from '@dbops/ledger/findings'
import { trimInbox } from '@dbops/ledger/inbox'
import { hold } from '@dbops/ledger/leases'
import { publish, trimOutbox } from '@dbops/ledger/outbox'
import { sumUpRuns } from '@dbops/ledger/run-summaries'
import { sweepServices } from '@dbops/ledger/services'
import { commandStream, stream } from '@dbops/runtime/bus'
import { findingEvent } from '@dbops/runtime/finding-event'
import { beConnected, memoryOf } from '@dbops/runtime/redis'
import type { Service } from '@dbops/runtime/service'
import type { Redis } from 'ioredis'
import { tellDeadLetters } from './dead-letters.ts'
import { readersOf, toRecord } from './publish.ts'

/** Every event stays at least this long, read or not. */
const keep = parseDuration('7d')
/** The inbox is kept longer than any entry can still come. */
const keepInbox = parseDuration('30d')
/** As long as what alerts leave behind. */
const keepFindings = parseDuration('90d')

/** Entries of dbops:commands, answered or not. */
const keepSigned = parseDuration('1h')
/** Runs, with their history and their lines; then they are summed up. A year and what an audit of it takes. */
export const keepRuns = parseDuration('400d')
/** A key that is used again after that is a new command. */
const keepCommands = parseDuration('90d')

export function trimming(service: Service): void {
  const redis = service.redis('prompt')
  service.loop({
    name: 'trim',
    every: 60_000,
    always: true, // a full Redis hinders all else, and this gives it room
    turn: async alive => {
      await beConnected(redis)
      if (!(await hold(service.ledger, 'trimmer', service.name, 120_000))) return
      const now = await service.ledger.now()
      await tellDeadLetters(service)
      await trimStream(service, redis, now)
      // Long past the five minutes for which the longest-lived of them was good.
      await redis.xtrim(commandStream, 'MINID', String(now.getTime() - keepSigned))
      const patience = Math.max(keep, ...readersOf(service).map(reader => parseDuration(maxLagOf(service, reader))))
      const [read, anyway] = [new Date(now.getTime() - keep), new Date(now.getTime() - patience)]
      while (await trimOutbox(service.ledger, read, readersOf(service), anyway)) alive()
      while (await trimInbox(service.ledger, new Date(now.getTime() - keepInbox))) alive()
      while (await trimFindings(service.ledger, new Date(now.getTime() - keepFindings))) alive()
      while (await trimDeadLetters(service.ledger, new Date(now.getTime() - keepFindings))) alive()
      while (await trimCommands(service.ledger, new Date(now.getTime() - keepCommands))) alive()
      while (await sumUpRuns(service.ledger, new Date(now.getTime() - keepRuns))) alive()
      await forgetTargets(service)
      await sweepServices(service.ledger)
    },
  })
}

/** Findings on targets that have left the configuration end, or their alerts would fire for ever. */
export const forgetTargets = (service: Service) =>
  service.ledger.transaction(async db => {
    const ended = await endOrphans(db)
    if (ended.length)
      await publish(
        db,
        ended.map(finding => findingEvent(service, finding.engine, finding, 'gone')),
      )
  })

const maxLagOf = ({ config }: Pick<Service, 'config'>, reader: string): string => config.streams.groups[reader]?.maxLag ?? '14d'

/** At this share of its memory Redis keeps only what a registered reader has still to read: a full one would stop the events. */
const pressed = 0.8

interface ReaderFacts {
  reader: string
  maxLag: string
  /** Entries that it was given, or is still to be given, begin here: the oldest that it has not acknowledged. Null: it has read all. */
  oldest: string | null
  pending: number
  lastDelivered: string
}

/**
 * Trims up to seven days ago, or everything while Redis runs out of memory, but not past the lowest unacknowledged entry of a registered reader whose `maxLag` is not over.
 * What such a reader loses is counted and told before it goes.
 */
export async function trimStream(service: Service, redis: Redis, now: Date): Promise<void> {
  if (!(await redis.exists(stream))) return
  const { used, limit } = await memoryOf(redis)
  const isPressed = limit > 0 && used >= limit * pressed
  const byAge = now.getTime() - keep
  const readers: ReaderFacts[] = []
  // Of one millisecond all or none: an id of the cut stays.
  let cut = isPressed ? now.getTime() : byAge
  for (const reader of readersOf(service)) {
    const facts = await factsOf(redis, reader, maxLagOf(service, reader))
    if (!facts) continue
    readers.push(facts)
    const age = ageOf(facts, now)
    service.metrics
      .gauge('dbops_stream_group_age_seconds', 'age of the oldest entry that a group has not acknowledged', ['group'])
      .set({ group: reader }, age / 1_000)
    if (facts.oldest === null) continue
    // Past its promise it is waited for no longer, but nothing of it goes before its seven days.
    cut = Math.min(cut, age <= parseDuration(facts.maxLag) ? millisOf(facts.oldest) : byAge)
  }
  cut = Math.max(0, Math.floor(cut))
  await tellLagging(service, redis, readers, now)
  for (const facts of readers) await tellLoss(service, redis, facts, cut)
  const before = await redis.xlen(stream)
  await redis.xtrim(stream, 'MINID', String(cut))
  const early = cut > byAge ? before - (await redis.xlen(stream)) : 0
  if (early > 0)
    service.log.warn(
      { event: 'stream_trimmed_early', entries: early },
      `the operations Redis is at ${Math.round((used / limit) * 100)} % of its memory: ${early} entries that every registered reader has read were trimmed before their seven days`,
    )
}

async function factsOf(redis: Redis, reader: string, maxLag: string): Promise<ReaderFacts | undefined> {
  const group = ((await redis.xinfo('GROUPS', stream)) as unknown[][]).map(toRecord).find(g => g['name'] === reader)
  if (!group) return undefined
  const [pending, lowestPending] = (await redis.xpending(stream, reader)) as [number, string | null]
  const lastDelivered = String(group['last-delivered-id'])
  // What is pending and was trimmed has been told as lost: the oldest is the first that is still there.
  const from = pending > 0 && lowestPending ? lowestPending : `(${lastDelivered}`
  const oldest = (await redis.xrange(stream, from, '+', 'COUNT', 1))[0]?.[0] ?? null
  return { reader, maxLag, oldest, pending, lastDelivered }
}

const millisOf = (id: string): number => Number(id.split('-')[0])
const ageOf = ({ oldest }: ReaderFacts, now: Date): number => (oldest === null ? 0 : now.getTime() - millisOf(oldest))
const isoOf = (id: string): string => new Date(millisOf(id)).toISOString()

/** Half of its promise is gone: an alarm, long before anything is lost. What stands is in the ledger, so that the next scheduler tells its end. */
async function tellLagging(service: Service, redis: Redis, readers: ReaderFacts[], now: Date): Promise<void> {
  const late = readers.filter(facts => ageOf(facts, now) > parseDuration(facts.maxLag) / 2)
  const faults = late.map(({ reader, maxLag, oldest }): Fault => {
    const what = `reader ${reader} has not read what was told at ${isoOf(oldest!)}: half of its maxLag of ${maxLag} is over`
    const tells = { opened: 'stream_group_lagging', gone: 'stream_group_recovered' } as const
    return { key: reader, level: 'warning', what, hint: 'start it, or take it out of streams.groups', tells }
  })
  await service.ledger.transaction(async db => {
    const { opened, gone } = await saveFindings(db, { target: installation, source: 'streams' }, faults)
    for (const [found, event] of [
      [opened, 'stream_group_lagging'],
      [gone, 'stream_group_recovered'],
    ] as const)
      for (const { key } of found) {
        const facts = readers.find(({ reader }) => reader === key)
        const data = {
          group: key,
          behind: facts?.oldest ? await unread(redis, facts, '+') : 0,
          oldest: facts?.oldest ? isoOf(facts.oldest) : null,
          maxLag: facts?.maxLag ?? maxLagOf(service, key),
        }
        await publish(db, [service.event({ event, subject: 'redis/dbops:events', operation: `stream:${key}`, data })])
      }
  })
}

async function tellLoss(service: Service, redis: Redis, facts: ReaderFacts, cut: number): Promise<void> {
  const { reader, maxLag, oldest } = facts
  if (oldest === null || millisOf(oldest) >= cut) return
  const last = (await redis.xrevrange(stream, String(cut - 1), oldest, 'COUNT', 1))[0]![0]
  const [behind, lost] = [await unread(redis, facts, '+'), await unread(redis, facts, last)]
  const evidence = { group: reader, behind, oldest: isoOf(oldest), maxLag, lost, from: isoOf(oldest), to: isoOf(last) }
  const what = `${reader} loses ${lost} entries that it has not read, told from ${evidence.from} to ${evidence.to}: its maxLag of ${maxLag} is over`
  const hint = 'its owner fills the gap: docs/operate/told.md'
  const since = (await service.ledger.now()).toISOString()
  const data = { source: 'streams', key: reader, level: 'error', what, hint, sql: null, since, evidence }
  await publish(service.ledger, [
    service.event({ event: 'redis_stream_data_loss', subject: 'redis/dbops:events', operation: `stream:${reader}`, data }),
  ])
  service.log.error({ event: 'redis_stream_data_loss', ...evidence }, what)
}

// KEYS stream. ARGV from, to: how many of at most a thousand, and the last of them. Counted where they lie, as there may be a million.
const countPage = `
local page = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', 1000)
return { #page, #page > 0 and page[#page][1] or '' }`

/** How many entries that are in the stream, up to `to`, a reader has not acknowledged. */
async function unread(redis: Redis, { reader, oldest, pending, lastDelivered }: ReaderFacts, to: string): Promise<number> {
  let count = 0
  for (let from = `(${lastDelivered}`; ; ) {
    const [found, last] = (await redis.eval(countPage, 1, stream, from, to)) as [number, string]
    count += found
    if (found < 1_000) break
    from = `(${last}`
  }
  if (!pending) return count
  for (let from = oldest!; ; ) {
    const page = (await redis.xpending(stream, reader, from, to, 1_000)) as [id: string, ...unknown[]][]
    count += page.length
    if (page.length < 1_000) return count
    from = `(${page.at(-1)![0]}`
  }
}
