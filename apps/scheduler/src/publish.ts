// Copies the outbox to the stream, at least once and in order, and knows when the stream is not what was written: after a FLUSHALL, a failover, a restore.
// It holds a lease and does not rely on it: two publishers at once are harmless (libs/shared/testing/src/model/publisher.ts).
import { setTimeout as sleep } from 'node:timers/promises'
import { hold } from '@dbops/ledger/leases'
import { confirmBatch, isDue, savePosition, tokens, unmark, writeBatch } from '@dbops/ledger/outbox'
import { ensureGroup, markKey, stream } from '@dbops/runtime/bus'
import type { Service } from '@dbops/runtime/service'
import type { Redis } from 'ioredis'
import { group } from './triggers.ts'

const batchSize = 100

// KEYS stream, mark. ARGV the token that must stand, the token that then stands, the events.
const appendIfWhole = `
local mark = redis.call('GET', KEYS[2]) or ''
if mark == ARGV[2] then return 'done' end
if mark ~= ARGV[1] then return 'lost:' .. mark end
for i = 3, #ARGV do redis.call('XADD', KEYS[1], '*', 'ce', ARGV[i]) end
redis.call('SET', KEYS[2], ARGV[2])
return 'done'`
// KEYS mark. ARGV what was seen there, what it is to be.
const setIfStill = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1`

/** The readers that the trimmer waits for and whose position is copied: ours, and those that the configuration registers. */
export const readersOf = (service: Pick<Service, 'config'>): string[] => [
  'alert-relay',
  group,
  ...Object.keys(service.config.streams.groups),
]

export function publishing(service: Service): void {
  const redis = service.redis('prompt')
  const readers = readersOf(service)
  const mine = () => hold(service.ledger, 'publisher', service.name, service.timers.lease)
  let grouped = false
  service.loop({
    name: 'publish',
    every: 1_000,
    wake: 'dbops_outbox',
    turn: async alive => {
      if (!grouped) for (const reader of readers) await ensureGroup(redis, reader)
      grouped = true
      if (!(await isDue(service.ledger)) || !(await mine())) return
      while (!service.signal.aborted && (await publishBatch(service, redis, readers))) alive()
    },
  })
  // A stream that was emptied while nothing was published is found out too.
  service.loop({
    name: 'compare marks',
    every: service.timers.heartbeat,
    turn: async () => {
      if (!(await mine())) return
      const { standing, ahead } = await tokens(service.ledger)
      const mark = (await redis.get(markKey)) ?? ''
      if (mark !== standing && mark !== ahead) await startOver(service, redis, readers, { standing, ahead }, mark)
      else if (mark === standing) for (const reader of readers) await copyPosition(service, redis, reader, standing)
    },
  })
}

/** One batch; true when there may be more. */
async function publishBatch(service: Service, redis: Redis, readers: string[]): Promise<boolean> {
  const batch = await service.ledger.transaction(db => writeBatch(db, batchSize))
  if (!batch) return false
  const answer = String(
    await redis.eval(appendIfWhole, 2, stream, markKey, batch.standing, batch.ahead, ...batch.rows.map(row => JSON.stringify(row.ce))),
  )
  if (answer !== 'done') {
    await startOver(service, redis, readers, batch, answer.slice('lost:'.length))
    return true
  }
  await confirmBatch(service.ledger, batch.ahead)
  return batch.rows.length === batchSize
}

/** First the ledger, then the mark: set the other way round, a crash in between would lose what was to be sent again. */
async function startOver(
  service: Service,
  redis: Redis,
  readers: string[],
  seen: { standing: string; ahead: string | null },
  mark: string,
): Promise<void> {
  const fresh = await service.ledger.transaction(db => unmark(db, seen, readers))
  if (!fresh) {
    await sleep(50) // another publisher was first
    return
  }
  if (!(await redis.eval(setIfStill, 1, markKey, mark, fresh.token))) return
  for (const reader of readers) await ensureGroup(redis, reader)
  // The very first publication finds an empty Redis too; only a stream that had something is news.
  if (fresh.rows)
    service.log.warn(
      { event: 'stream_restored', rows: fresh.rows },
      `${stream} was not what had been written (emptied, or an older copy): ${fresh.rows} events are sent again`,
    )
}

/** How far a reader is, as the event id of its lowest unacknowledged entry. An empty stream says nothing. */
async function copyPosition(service: Service, redis: Redis, reader: string, standing: string): Promise<void> {
  if (!(await redis.exists(stream))) return
  const groups = (await redis.xinfo('GROUPS', stream)) as unknown[][]
  const group = groups.map(toRecord).find(g => g['name'] === reader)
  if (!group) return
  const [pending, lowestPending] = (await redis.xpending(stream, reader)) as [number, string | null]
  const lowest =
    pending > 0 && lowestPending
      ? await redis.xrange(stream, lowestPending, '+', 'COUNT', 1)
      : await redis.xrange(stream, `(${String(group['last-delivered-id'])}`, '+', 'COUNT', 1)
  if (!lowest.length && !(await redis.xlen(stream))) return
  const event = lowest[0] ? eventId(lowest[0][1]) : null
  if (lowest[0] && !event) return // poison: it will be set aside, and the next copy says more
  // The mark is looked at again after the reading: what was read belongs to the stream that the ledger knows.
  const mark = await redis.get(markKey)
  if (mark === standing || (event && mark === (await tokens(service.ledger)).standing))
    await savePosition(service.ledger, reader, event, standing)
}

function eventId(fields: string[]): string | null {
  try {
    const { id } = JSON.parse(fields[fields.indexOf('ce') + 1] ?? '') as { id?: unknown }
    return typeof id === 'string' && /^[0-9a-f-]{36}$/.test(id) ? id : null
  } catch {
    return null
  }
}

/** Redis tells records as flat lists of names and values. */
export const toRecord = (flat: unknown[]): Record<string, unknown> =>
  Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[String(name), flat[i + 1]]])))
