// Reads a Redis stream in a consumer group, whatever happens to either: what was delivered and not acknowledged comes first, what a dead consumer left is taken over, a lost group is made again.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import type { Log } from './log.ts'

export type Entry = [id: string, fields: string[] | null]

export interface StreamReader {
  stream: string
  group: string
  consumer: string
  /** Its own connection: it blocks. */
  blocking: Redis
  /** For acknowledgements and claims. */
  prompt: Redis
  signal: AbortSignal
  log: Log
  /**
   * Does what entries ask for, and acknowledges them: those of one reply, in their order. False: some stay pending and come again. `again`: they were delivered before.
   * Fields are null where an entry was trimmed meanwhile. On an orderly stop it ends what it has in hand, or another would have to wait until it may be claimed.
   */
  take(entries: Entry[], again: boolean): Promise<boolean>
  /** Called at each round trip, and when Redis or the ledger was found away: the reader lives. */
  onTurn?: () => void
}

const claimIdle = 60_000

/** Reads until the signal aborts. Never throws for what it reads, nor for a Redis or a ledger that is away: it waits for them. */
export async function readStream(r: StreamReader): Promise<void> {
  let replay = true // what was delivered to us and not acknowledged, before anything new: after a start and after each reconnect
  let claimAt = 0
  const reconnected = () => (replay = true)
  r.blocking.on('ready', reconnected)
  // A blocking read would hold up an orderly stop for its five seconds.
  r.signal.addEventListener('abort', () => r.blocking.disconnect(), { once: true })

  /** What was delivered to this consumer and is not acknowledged, page by page. */
  async function takePending(): Promise<boolean> {
    let all = true
    for (let from = '0'; !r.signal.aborted; ) {
      const page = await read(r, from)
      if (!page) return false
      if (!page.length) return all
      if (!(await r.take(page, true))) all = false
      r.onTurn?.()
      from = page.at(-1)![0]
    }
    return false
  }

  let pause = 250
  while (!r.signal.aborted) {
    try {
      if (replay) {
        replay = false
        await ensureGroupOf(r.prompt, r.stream, r.group)
        if (!(await takePending())) {
          replay = true // some stay pending: they are tried again, a little later each time
          await sleep(pause, undefined, { signal: r.signal })
          pause = Math.min(pause * 2, 10_000)
        }
      }
      if (performance.now() > claimAt) {
        claimAt = performance.now() + 15_000
        await takeAbandoned(r)
      }
      const entries = await read(r, '>', replay ? 100 : 5_000)
      if (!entries || !(await r.take(entries, false))) replay = true
      else if (!replay) pause = 250
      r.onTurn?.()
    } catch (error) {
      if (r.signal.aborted) break
      const message = (error as Error).message
      if (message.startsWith('NOGROUP'))
        r.log.error(
          { event: 'group_lost', group: r.group },
          `the group ${r.group} is gone from ${r.stream} (was Redis emptied?); it is made again and reads from the beginning`,
        )
      else r.log.debug({ event: 'bus_waits', group: r.group }, message)
      replay = true
      r.onTurn?.()
      await sleep(500, undefined, { signal: r.signal }).catch(() => undefined)
    }
  }
  r.blocking.off('ready', reconnected)
}

/** The group, made at the beginning of the stream if it is not there: what was written before its reader came is read too. */
export async function ensureGroupOf(redis: Redis, stream: string, group: string): Promise<void> {
  await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM').catch((error: Error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error
  })
}

/** Undefined where nothing came, or too late: the client gives up soon after the server should have answered, and what an answer brought that nobody heard is pending here. */
async function read(r: StreamReader, from: string, block?: number): Promise<Entry[] | undefined> {
  const wait = block === undefined ? [] : ['BLOCK', block]
  const answer = (await r.blocking.call('XREADGROUP', 'GROUP', r.group, r.consumer, 'COUNT', 64, ...wait, 'STREAMS', r.stream, from)) as
    | [string, Entry[]][]
    | null
  return answer?.[0]?.[1]
}

/** What a dead consumer of this group left pending. */
async function takeAbandoned(r: StreamReader): Promise<void> {
  let cursor = '0-0'
  do {
    const [next, claimed] = (await r.prompt.xautoclaim(r.stream, r.group, r.consumer, claimIdle, cursor, 'COUNT', 64)) as [string, Entry[]]
    if (claimed.length) await r.take(claimed, true)
    r.onTurn?.()
    cursor = next
  } while (cursor !== '0-0' && !r.signal.aborted)
}
