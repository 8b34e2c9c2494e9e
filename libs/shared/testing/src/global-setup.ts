// Starts the servers of a test run, once for all projects: one PostgreSQL, the operations Redis and the platform's Redis.
// Tests get their URLs by `inject` and a database of their own from `freshDatabase`; who flushes a Redis starts one (30 ms).
import { startPostgres } from '@dbops/servers/postgres'
import { startRedis } from '@dbops/servers/redis'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** The superuser's, to the database `postgres`. */
    pgUrl: string
    /** As the operations Redis must be: noeviction, AOF. Shared: use keys with a prefix of your own, and flush nothing. */
    redisUrl: string
    /** As the platform has it: allkeys-lru. */
    platformRedisUrl: string
  }
}

/** `DBOPS_TEST_PG_URL`, `DBOPS_TEST_REDIS_URL` and `DBOPS_TEST_PLATFORM_REDIS_URL` name servers that are there already. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { DBOPS_TEST_PG_URL, DBOPS_TEST_REDIS_URL, DBOPS_TEST_PLATFORM_REDIS_URL } = process.env
  // One after the other: what is missing is installed on the way, and apt has one lock.
  const pg = await startPostgres({ url: DBOPS_TEST_PG_URL, settings: { max_connections: '300', 'pg_stat_statements.max': '50000' } })
  const redis = await startRedis({ url: DBOPS_TEST_REDIS_URL, settings: { maxmemoryPolicy: 'noeviction', appendonly: true } })
  const platform = await startRedis({ url: DBOPS_TEST_PLATFORM_REDIS_URL, settings: { maxmemoryPolicy: 'allkeys-lru', maxmemory: '64mb' } })
  project.provide('pgUrl', pg.url)
  project.provide('redisUrl', redis.url)
  project.provide('platformRedisUrl', platform.url)
  return async () => {
    await Promise.all([pg.stop(), redis.stop(), platform.stop()])
  }
}
