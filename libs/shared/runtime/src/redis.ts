// Connections to the operations Redis, and whether it can be trusted with a queue.
import { once } from 'node:events'
import { Redis, type RedisOptions } from 'ioredis'

const common: RedisOptions = {
  connectTimeout: 5_000,
  keepAlive: 10_000,
  // BullMQ's and ioredis' defaults back off to 20 s; a queue that slept so long after an outage would look dead.
  retryStrategy: tries => Math.min(100 * 2 ** Math.min(tries, 5), 2_000),
  enableReadyCheck: true,
  // A command without any answer for so long (blocking reads end after five seconds) means a route that was lost without a word: connect again.
  socketTimeout: 15_000,
}

/** For BullMQ workers and blocking reads: never gives up a command, waits for the server to come back. */
export const blockingRedis = (url: string, name: string) =>
  quiet(new Redis(url, { ...common, connectionName: name, maxRetriesPerRequest: null, blockingTimeout: 15_000 }))

/** For everything else: fails at once while the server is away, so that nobody hangs and nothing is sent twice behind a caller's back. */
export const promptRedis = (url: string, name: string) =>
  quiet(
    new Redis(url, {
      ...common,
      connectionName: name,
      maxRetriesPerRequest: 0,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      commandTimeout: 5_000,
    }),
  )

/** Errors of a connection arrive with the commands that fail; the event itself would end the process. */
function quiet(redis: Redis): Redis {
  redis.on('error', () => undefined)
  return redis
}

/** Waits for a connection that is just being made, at most two seconds: a command of a prompt client would fail until then. */
export async function beConnected(redis: Redis): Promise<void> {
  if (redis.status === 'connecting' || redis.status === 'connect')
    await once(redis, 'ready', { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
}

export interface Memory {
  /** Bytes. */
  used: number
  /** Bytes; 0 where it may take all there is. */
  limit: number
  policy: string
}
export async function memoryOf(redis: Redis): Promise<Memory> {
  const info = await redis.info('memory')
  const word = (name: string) => new RegExp(`^${name}:(.+?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  return { used: Number(word('used_memory')), limit: Number(word('maxmemory')), policy: word('maxmemory_policy') || 'noeviction' }
}

/** Why this Redis cannot be the operations Redis, or can take nothing at this moment; undefined when it can. Anything but `noeviction` deletes queues and events without a word once memory is short. */
export async function memoryFault(redis: Redis): Promise<string | undefined> {
  const { used, limit, policy } = await memoryOf(redis)
  if (policy !== 'noeviction')
    return `the operations Redis has maxmemory-policy ${policy}: under memory pressure it would delete queued work and events without a word; set maxmemory-policy noeviction, or use a Redis of its own`
  if (limit && used >= limit)
    return `the operations Redis is full (${mebibytes(used)} of ${mebibytes(limit)} MiB): nothing is handed out and no event goes out until there is room, and nothing is lost; raise its maxmemory`
  return undefined
}
export const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(bytes < 100 * 2 ** 20 ? 1 : 0)

/** False where a restart of Redis loses what it held. Not an error: the ledger makes up for it. */
export async function isPersistent(redis: Redis): Promise<boolean> {
  return /^aof_enabled:1\r?$/m.test(await redis.info('persistence'))
}
