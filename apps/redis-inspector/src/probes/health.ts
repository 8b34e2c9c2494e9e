// redis.health: whether the server answers, and the few numbers that say how it is.
import { z } from 'zod'
import { fieldOf, numberOf } from '../info.ts'
import { defineProbe } from '../task.ts'

const count = z.int().min(0)

export default defineProbe({
  name: 'redis.health',
  summary: 'Whether the server answers: version, memory and its policy, clients, evictions, persistence, replication',
  every: '10s',
  result: z.strictObject({
    version: z.string(),
    uptimeSeconds: count,
    role: z.string(),
    clients: count,
    operationsPerSecond: count,
    usedMemoryBytes: count,
    /** Null: no limit of its own; the machine's memory is the limit. */
    maxMemoryBytes: count.nullable(),
    /** Anything but `noeviction` deletes keys when memory is short, streams with their groups too. */
    maxMemoryPolicy: z.string(),
    /** Counted by the server since its start, as the next two are. */
    evictedKeys: count,
    expiredKeys: count,
    rejectedConnections: count,
    persistence: z.strictObject({
      aof: z.boolean(),
      /** False after a write of the AOF, or its rewrite, that failed: what is written now is lost with the process. */
      aofOk: z.boolean(),
      lastSaveOk: z.boolean(),
      changesSinceSave: count,
    }),
    replication: z.strictObject({
      replicas: count,
      /** Of a replica to its primary; null on a primary. */
      linkUp: z.boolean().nullable(),
      /** Seconds since the primary was last heard; null on a primary, or while the link is down. */
      heardSecondsAgo: count.nullable(),
    }),
  }),
  emits: { failed: 'redis_connection_failed', recovered: 'redis_connection_recovered' },
  gauges: ({ persistence, replication, ...seen }) => ({
    redis_uptime_seconds: seen.uptimeSeconds,
    redis_clients: seen.clients,
    redis_operations_per_second: seen.operationsPerSecond,
    redis_memory_used_bytes: seen.usedMemoryBytes,
    redis_memory_max_bytes: seen.maxMemoryBytes,
    redis_evicted_keys: seen.evictedKeys,
    redis_expired_keys: seen.expiredKeys,
    redis_rejected_connections: seen.rejectedConnections,
    redis_persistence_ok: Number(persistence.lastSaveOk && persistence.aofOk),
    redis_replicas: replication.replicas,
    redis_replication_link_up: replication.linkUp === null ? null : Number(replication.linkUp),
  }),
  async look(c) {
    const info = await c.redis.info()
    const heard = Number(info.get('master_last_io_seconds_ago') ?? -1)
    const link = info.get('master_link_status')
    return {
      version: fieldOf(info, 'redis_version'),
      uptimeSeconds: numberOf(info, 'uptime_in_seconds'),
      role: fieldOf(info, 'role'),
      clients: numberOf(info, 'connected_clients'),
      operationsPerSecond: numberOf(info, 'instantaneous_ops_per_sec'),
      usedMemoryBytes: numberOf(info, 'used_memory'),
      maxMemoryBytes: numberOf(info, 'maxmemory') || null,
      maxMemoryPolicy: fieldOf(info, 'maxmemory_policy'),
      evictedKeys: numberOf(info, 'evicted_keys'),
      expiredKeys: numberOf(info, 'expired_keys'),
      rejectedConnections: numberOf(info, 'rejected_connections'),
      persistence: {
        aof: fieldOf(info, 'aof_enabled') === '1',
        aofOk: info.get('aof_last_write_status') !== 'err' && info.get('aof_last_bgrewrite_status') !== 'err',
        lastSaveOk: fieldOf(info, 'rdb_last_bgsave_status') === 'ok',
        changesSinceSave: numberOf(info, 'rdb_changes_since_last_save'),
      },
      replication: {
        replicas: numberOf(info, 'connected_slaves'),
        linkUp: link === undefined ? null : link === 'up',
        heardSecondsAgo: heard < 0 ? null : heard,
      },
    }
  },
})
