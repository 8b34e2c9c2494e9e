// Our consumer group in a stream of the platform: made where reading is to begin, made again where it had come to. The stream itself is never made.
import { Problem } from '@dbops/contract/failure'
import { beginIngest, type IngestPlace, ingestPosition, moveIngest, restartIngest } from '@dbops/ledger/ingest'
import type { Queryable } from '@dbops/ledger/ledger'
import type { Log } from '@dbops/runtime/log'
import type { Commands } from '../task.ts'
import { before, isBefore } from './stream-id.ts'

export interface Place extends IngestPlace {
  group: string
}

/**
 * Sees that the group is there and misses nothing. At the first look of all, reading begins with what comes after it; a stream that is not there yet is read from its
 * beginning when it comes. Throws `stream_missing`, `no_stream`, and what the server refuses.
 */
export async function ensureGroup(redis: Commands, place: Place, ledger: Queryable, log: Log): Promise<void> {
  const { name, stream, group } = place
  const info = await streamInfo(redis, stream).catch(async (error: Error & { code?: string }) => {
    if (error.code === 'no_stream') await beginIngest(ledger, place, '0-0')
    throw error
  })
  if (!info) {
    await beginIngest(ledger, place, '0-0')
    throw new Problem(`there is no stream "${stream}" yet; it is looked for again and again, and read from its beginning when it comes`, {
      code: 'stream_missing',
      hint: 'does its service write into this Redis, under this name? See ingest in docs/config.md',
    })
  }
  const newest = String(info['last-generated-id'])
  const found = (await groupsOf(redis, stream)).find(one => one['name'] === group)
  // Read after the group: what the ledger says is then never behind what was acknowledged.
  const recorded = await ingestPosition(ledger, place)
  if (found) {
    const delivered = String(found['last-delivered-id'])
    if (recorded === undefined) return void (await beginIngest(ledger, place, await lowestOpen(redis, place, delivered)))
    if (Number(found['pending']) || !isBefore(recorded, delivered)) return
    await redis.command('XGROUP', 'SETID', stream, group, recorded)
    return log.warn(
      { event: 'ingest_group_moved', ingest: name, group, position: recorded },
      `the group ${group} of ${stream} stood past what was read; it is put back to ${recorded}`,
    )
  }
  let start = recorded ?? (await beginIngest(ledger, place, newest))
  if (isBefore(newest, start)) {
    await restartIngest(ledger, name, (start = '0-0'))
    log.warn(
      { event: 'ingest_stream_restarted', ingest: name },
      `${stream} was made anew, with lower ids than were read: it is read from its beginning`,
    )
  }
  await redis.command('XGROUP', 'CREATE', stream, group, start).catch((error: Error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error // another replica was first
  })
  log.info(
    { event: 'ingest_group_made', ingest: name, group, position: start },
    `the group ${group} of ${stream} reads what comes after ${start}`,
  )
}

/** Undefined where there is no such key. Throws `no_stream` where it is something else. */
export async function streamInfo(redis: Commands, stream: string): Promise<Record<string, unknown> | undefined> {
  try {
    return record(await redis.command<unknown[]>('XINFO', 'STREAM', stream))
  } catch (error) {
    const { message } = error as Error
    if (/no such key/i.test(message)) return undefined
    if (!message.startsWith('WRONGTYPE')) throw error
    throw new Problem(`"${stream}" is no stream`, { code: 'no_stream', hint: 'correct ingest.*.stream in the configuration' })
  }
}

export const groupsOf = async (redis: Commands, stream: string): Promise<Record<string, unknown>[]> =>
  (await redis.command<unknown[][]>('XINFO', 'GROUPS', stream)).map(record)

/** The id up to which everything is acknowledged, when `delivered` is the last that was delivered. */
export async function lowestOpen(redis: Commands, { stream, group }: Place, delivered: string): Promise<string> {
  const [pending, lowest] = await redis.command<[number, string | null]>('XPENDING', stream, group)
  return pending && lowest ? before(lowest) : delivered
}

/** Brings the recorded position up to what the group has acknowledged. */
export async function settle(redis: Commands, place: Place, ledger: Queryable): Promise<void> {
  const found = (await groupsOf(redis, place.stream)).find(one => one['name'] === place.group)
  if (found) await moveIngest(ledger, place.name, await lowestOpen(redis, place, String(found['last-delivered-id'])))
}

/** In ms. A reader of ours that lives asks every two seconds. */
const longGone = 3_600_000
/** Takes out consumers of processes that are long gone and left nothing pending: they would pile up with every restart. */
export async function forgetConsumers(redis: Commands, { stream, group }: Place): Promise<void> {
  const all = (await redis.command<unknown[][]>('XINFO', 'CONSUMERS', stream, group)).map(record)
  for (const { name, pending, idle } of all)
    if (String(name).startsWith('redis-inspector@') && pending === 0 && Number(idle) > longGone)
      await redis.command('XGROUP', 'DELCONSUMER', stream, group, String(name))
}

/** Redis tells records as flat lists of names and values. */
export const record = (flat: unknown[]): Record<string, unknown> =>
  Object.fromEntries(flat.flatMap((name, i) => (i % 2 ? [] : [[String(name), flat[i + 1]]])))
