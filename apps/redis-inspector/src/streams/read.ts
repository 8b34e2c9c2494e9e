// What a stream and its groups say of themselves, by commands that change nothing (XAUTOCLAIM and XREADGROUP would), and what of it is true.
import { z } from 'zod'
import { groupsOf, record, streamInfo } from '../ingest/group.ts'
import { isBefore } from '../ingest/stream-id.ts'
import type { Commands } from '../task.ts'

const count = z.int().min(0)

export const groupFacts = z.strictObject({
  group: z.string(),
  pending: count,
  /** Milliseconds since the longest-waiting of the hundred oldest pending entries was last delivered; null: none is pending. */
  pendingForMs: count.nullable(),
  /** How often the one of them was delivered that was so most often. */
  deliveries: count,
  delivered: z.string(),
  /** The first entry that was not delivered yet; null: all were. */
  next: z.string().nullable(),
  /** How many were not delivered yet. Counted up to 10,000 where Redis does not know it. */
  unread: count,
  /** `unread` or more. */
  more: z.boolean(),
  /** Trimmed or deleted before they were delivered. Null: some may be, and this Redis cannot say how many. */
  lost: count.nullable(),
  consumers: count,
  /** Consumers that hold entries and have not asked for an hour. */
  idle: z.array(z.strictObject({ consumer: z.string(), pending: count, idleMs: count })),
})
export const streamFacts = z.strictObject({
  stream: z.string(),
  length: count,
  first: z.string().nullable(),
  last: z.string(),
  /** How many were ever added; null before Redis 7. */
  added: count.nullable(),
  groups: z.array(groupFacts),
})
export type GroupFacts = z.output<typeof groupFacts>
export type StreamFacts = z.output<typeof streamFacts>

/** Entries that are counted where Redis does not know how many are unread. */
const countedAtMost = 10_000
const page = 1_000
const hour = 3_600_000

/** Undefined where there is no such stream (any more). */
export async function readStream(redis: Commands, stream: string): Promise<StreamFacts | undefined> {
  const info = await streamInfo(redis, stream)
  if (!info) return undefined
  const added = info['entries-added'] === undefined ? null : Number(info['entries-added'])
  const first = (info['first-entry'] as [string] | null)?.[0] ?? null
  const facts = { stream, length: Number(info['length']), first, last: String(info['last-generated-id']), added }
  const groups: GroupFacts[] = []
  for (const group of await groupsOf(redis, stream)) groups.push(await readGroup(redis, facts, group))
  return { ...facts, groups }
}

async function readGroup(
  redis: Commands,
  { stream, length, first, added }: Omit<StreamFacts, 'groups'>,
  said: Record<string, unknown>,
): Promise<GroupFacts> {
  const [group, delivered, pending] = [String(said['name']), String(said['last-delivered-id']), Number(said['pending'])]
  const [next] = await redis.command<[id: string, ...unknown[]][]>('XRANGE', stream, `(${delivered}`, '+', 'COUNT', 1)
  // NULL for a group that was made at some id, and after an unread entry was deleted: not known is not none.
  const read = typeof said['entries-read'] === 'number' ? said['entries-read'] : null
  const lag = typeof said['lag'] === 'number' ? said['lag'] : null
  const standsBefore = first === null || isBefore(delivered, first)
  // All that is there is unread, whatever the lag says: it counts what was trimmed as well.
  const { unread, more } = standsBefore
    ? { unread: length, more: false }
    : lag !== null
      ? { unread: lag, more: false }
      : await countAfter(redis, stream, delivered)
  const oldest = pending
    ? await redis.command<[id: string, consumer: string, idle: number, deliveries: number][]>('XPENDING', stream, group, '-', '+', 100)
    : []
  const consumers = pending ? (await redis.command<unknown[][]>('XINFO', 'CONSUMERS', stream, group)).map(record) : []
  return {
    group,
    pending,
    pendingForMs: oldest.length ? Math.max(...oldest.map(([, , idle]) => idle)) : null,
    deliveries: Math.max(0, ...oldest.map(([, , , deliveries]) => deliveries)),
    delivered,
    next: next?.[0] ?? null,
    unread,
    more,
    lost: !standsBefore || delivered === '0-0' ? 0 : added === null || read === null ? null : Math.max(0, added - length - read),
    consumers: Number(said['consumers']),
    idle: consumers
      .map(one => ({ consumer: String(one['name']), pending: Number(one['pending']), idleMs: Number(one['idle']) }))
      .filter(one => one.pending > 0 && one.idleMs > hour),
  }
}

async function countAfter(redis: Commands, stream: string, delivered: string): Promise<{ unread: number; more: boolean }> {
  let unread = 0
  for (let from = `(${delivered}`; unread < countedAtMost; ) {
    const entries = await redis.command<[id: string, ...unknown[]][]>('XRANGE', stream, from, '+', 'COUNT', page)
    unread += entries.length
    if (entries.length < page) return { unread, more: false }
    from = `(${entries.at(-1)![0]}`
  }
  return { unread, more: true }
}
