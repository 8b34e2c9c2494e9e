// Keeps stream, outbox, inbox, findings and commands from growing: by age, and never past what a registered reader has not read until that reader is older than its promise.
import { parseDuration } from '@dbops/contract/duration'
import { trimCommands } from '@dbops/ledger/commands'
import { trimDeadLetters } from '@dbops/ledger/dead-letters'
import { endOrphans, trimFindings } from '@dbops/ledger/findings'
import { trimInbox } from '@dbops/ledger/inbox'
import { hold } from '@dbops/ledger/leases'
import { publish, trimOutbox } from '@dbops/ledger/outbox'
import { sumUpRuns } from '@dbops/ledger/run-summaries'
import { sweepServices } from '@dbops/ledger/services'
import { stream } from '@dbops/runtime/bus'
import { findingEvent } from '@dbops/runtime/finding-event'
import type { Service } from '@dbops/runtime/service'
import type { Redis } from 'ioredis'
import { readersOf, toRecord } from './publish.ts'
import { commandStream } from './signed-commands.ts'

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
  const lagging = new Set<string>()
  service.loop({
    name: 'trim',
    every: 60_000,
    turn: async alive => {
      if (!(await hold(service.ledger, 'trimmer', service.name, 120_000))) return
      const now = await service.ledger.now()
      await trimStream(service, redis, now, lagging)
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

/** Trims up to seven days ago, but not past the lowest unacknowledged entry of a registered reader whose `maxLag` is not over. */
export async function trimStream(service: Service, redis: Redis, now: Date, lagging: Set<string>): Promise<void> {
  if (!(await redis.exists(stream))) return
  const groups = ((await redis.xinfo('GROUPS', stream)) as unknown[][]).map(toRecord)
  let cut = now.getTime() - keep
  for (const reader of readersOf(service)) {
    const group = groups.find(g => g['name'] === reader)
    if (!group) continue
    const [pending, lowestPending] = (await redis.xpending(stream, reader)) as [number, string | null]
    // What is pending and was trimmed has been told as lost: the oldest is the first that is still there.
    const from = pending > 0 && lowestPending ? lowestPending : `(${String(group['last-delivered-id'])}`
    const next = (await redis.xrange(stream, from, '+', 'COUNT', 1))[0]?.[0] ?? null
    const oldest = next === null ? null : Number(next.split('-')[0])
    const maxLag = maxLagOf(service, reader)
    const age = oldest === null ? 0 : now.getTime() - oldest
    service.metrics
      .gauge('dbops_stream_group_age_seconds', 'age of the oldest entry that a group has not acknowledged', ['group'])
      .set({ group: reader }, age / 1_000)
    const data = {
      group: reader,
      behind: oldest === null ? 0 : await count(redis, next!),
      oldest: oldest === null ? null : new Date(oldest).toISOString(),
      maxLag,
    }
    const tell = (event: 'stream_group_lagging' | 'stream_group_recovered' | 'redis_stream_data_loss') =>
      service.ledger.transaction(db =>
        publish(db, [service.event({ event, subject: 'redis/dbops:events', operation: `stream:${reader}`, data })]),
      )
    const limit = parseDuration(maxLag)
    // Half of its promise is gone: an alarm, long before anything is lost.
    if (age > limit / 2 && !lagging.has(reader)) {
      lagging.add(reader)
      await tell('stream_group_lagging')
    } else if (age <= limit / 2 && lagging.delete(reader)) await tell('stream_group_recovered')
    if (oldest === null || oldest >= cut) continue
    if (age <= limit) cut = oldest
    else await tell('redis_stream_data_loss')
  }
  await redis.xtrim(stream, 'MINID', String(Math.max(0, Math.floor(cut))))
}

const count = async (redis: Redis, from: string): Promise<number> => (await redis.xrange(stream, from, '+', 'COUNT', 1_000)).length
