// Keys as the platform has them, some thousands: answers that are cached, sessions, limits by tenant, events that were processed. A few sessions never end: a planted finding.
import { Redis } from 'ioredis'

const [hour, day] = [3_600, 86_400]
/** Sessions whose writer forgot their end. */
export const endless = 12

/** Nothing where they are there already. */
export async function plantKeys(redisUrl: string): Promise<void> {
  const redis = new Redis(redisUrl, { connectionName: 'core-api' })
  try {
    if (await redis.exists('session:endless:0')) return
    const batch = redis.pipeline()
    for (let n = 0; n < 3_000; n++)
      batch.set(`cache:${['view', 'llm', 'cube'][n % 3]}:${n}`, 'x'.repeat(100 + ((n * 7_919) % 2_000)), 'EX', hour + (n % hour))
    for (let n = 0; n < 800; n++)
      batch.hset(`session:${uuidLike(n)}`, 'user', n, 'tenant', n % 20).expire(`session:${uuidLike(n)}`, 7 * day - n)
    for (let n = 0; n < endless; n++) batch.hset(`session:endless:${n}`, 'user', n)
    for (let n = 0; n < 2_000; n++) batch.set(`event:processed:${uuidLike(n + 50_000)}`, '1', 'EX', 7 * day - n)
    for (let n = 0; n < 200; n++) batch.set(`rate_limit:tenant-${n % 20}:${n}`, n, 'EX', hour)
    for (let n = 0; n < 500; n++) batch.zadd('leaderboard', n, `case-${n}`)
    await batch.exec()
  } finally {
    redis.disconnect()
  }
}

const uuidLike = (n: number) =>
  `0197${n.toString(16).padStart(4, '0')}-0000-7000-8000-${(n * 2_654_435_761).toString(16).padStart(12, '0').slice(-12)}`
