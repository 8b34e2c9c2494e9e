// A planted loss on the platform's Redis: the stream of the watches with a reader that stood still while its oldest entries were trimmed.
import { Redis } from 'ioredis'

export const watches = { stream: 'axiom:watches', group: 'vision-watch', read: 10, added: 40, kept: 12 } as const

/** Nothing where the stream is there already. */
export async function plantStreamLoss(redisUrl: string): Promise<void> {
  const { stream, group, read, added, kept } = watches
  const redis = new Redis(redisUrl, { connectionName: 'core-watch' })
  try {
    if (await redis.exists(stream)) return
    await redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM')
    for (let n = 0; n < added; n++) await redis.xadd(stream, '*', 'event_type', 'watch_alert_fired', 'sequence', n)
    const entries = (await redis.xreadgroup('GROUP', group, 'vision-1', 'COUNT', read, 'STREAMS', stream, '>')) as [
      string,
      [string, unknown][],
    ][]
    await redis.xack(stream, group, ...entries[0]![1].map(([id]) => id))
    await redis.xtrim(stream, 'MAXLEN', kept)
  } finally {
    redis.disconnect()
  }
}
