// pg.health: whether the server answers, and the few numbers that say how it is.
import { formatSize } from '@dbops/contract/duration'
import { z } from 'zod'
import { localDisk } from '../health/local-disk.ts'
import { diskUsage, type Space, space, spaceOf, usageOf } from '../health/space.ts'
import { defineProbe } from '../task.ts'

// A standby that has replayed all that came is not behind, however long nothing came; one without a stream can only say how old its data is.
// replay_lag of a standby that stands still stays what it was, so bytes are told beside seconds.
const vitals = `
  SELECT current_setting('server_version') AS version,
         extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS "uptimeSeconds",
         current_setting('max_connections')::int AS "maxConnections",
         current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0) AS "reservedConnections",
         (SELECT coalesce(jsonb_object_agg(state, n), '{}')
            FROM (SELECT coalesce(state, 'hidden') AS state, count(*)::int AS n
                    FROM pg_stat_activity
                   WHERE backend_type = 'client backend' OR backend_type IS NULL AND datid IS NOT NULL
                   GROUP BY 1) AS by_state) AS connections,
         pg_is_in_recovery() AS standby, behind.standbys,
         CASE WHEN pg_is_in_recovery()
              THEN CASE WHEN EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')
                         AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                        THEN 0
                        ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END
              ELSE behind.seconds
          END AS "replicationLagSeconds",
         CASE WHEN pg_is_in_recovery()
              THEN pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::float8
              ELSE behind.bytes
          END AS "replicationLagBytes"
    FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn) AS head
   CROSS JOIN LATERAL (
     SELECT count(*)::int AS standbys, max(pg_wal_lsn_diff(head.lsn, replay_lsn))::float8 AS bytes,
            max(extract(epoch FROM CASE WHEN replay_lsn >= head.lsn THEN '0' ELSE replay_lag END))::float8 AS seconds
       FROM pg_stat_replication) AS behind`

interface Vitals {
  version: string
  uptimeSeconds: number
  maxConnections: number
  reservedConnections: number
  connections: Record<string, number>
  standby: boolean
  standbys: number
  replicationLagSeconds: number | null
  replicationLagBytes: number | null
}

/** Percent of the disk from which on it is a finding; the platform's own rule says 80. */
const fullFrom = 80
const nearlyFullFrom = 90

export default defineProbe({
  name: 'pg.health',
  summary: 'Whether the server answers: version, uptime, connections, replication lag, room on the disk',
  every: '10s',
  result: z.strictObject({
    version: z.string(),
    uptimeSeconds: z.number(),
    maxConnections: z.int(),
    /** Of these, connections that are kept for superusers and pg_use_reserved_connections. */
    reservedConnections: z.int(),
    /** By state; `hidden` are those of other roles, where the role may not see them (pg_monitor). */
    connections: z.record(z.string(), z.int()),
    standby: z.boolean(),
    /** Of the standby that is furthest behind, or of this one. Null with the reason beside it. */
    replicationLagSeconds: z.number().nullable(),
    /** Of write-ahead log: written or received, and not replayed there. */
    replicationLagBytes: z.int().nullable(),
    replicationLagReason: z.string().nullable(),
    space,
    diskUsage,
  }),
  emits: { failed: 'db_connection_failed', recovered: 'db_connection_recovered' },
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ uptimeSeconds, maxConnections, connections, replicationLagSeconds, replicationLagBytes, diskUsage, space }) => ({
    uptime_seconds: uptimeSeconds,
    connections_max: maxConnections,
    connections: Object.values(connections).reduce((sum, n) => sum + n, 0),
    connections_by_state: Object.entries(connections).map(([state, value]) => ({ labels: { state }, value })),
    replication_lag_seconds: replicationLagSeconds,
    replication_lag_bytes: replicationLagBytes,
    disk_usage_percent: diskUsage.percent,
    database_size_bytes: bySize(space),
  }),
  compat: ({ space }) => ({ pg_database_size_bytes: bySize(space) }),
  async look(c) {
    const [{ standbys, ...seen }] = (await c.pg.query<Vitals>(vitals)) as [Vitals]
    const measured = await spaceOf(c.pg, (c.last?.result as { space?: Space } | undefined)?.space, c.signal)
    const promised = c.config.engine === 'pg' ? c.config.disk : undefined
    const usage = usageOf(measured, promised, promised ? null : await localDisk(c.pg))
    if (usage.percent !== null && usage.percent >= fullFrom)
      c.find({
        key: 'disk',
        level: usage.percent >= nearlyFullFrom ? 'error' : 'warning',
        what: `${usage.source === 'promised' ? 'databases and write-ahead log take' : 'all that lies there takes'} ${usage.percent} % of the disk: ${formatSize(usage.usedBytes!)} of ${formatSize(usage.totalBytes!)}`,
        hint: 'enlarge it, or make room: docs/operate/disk.md says how, and what must never be deleted',
        evidence: { space: measured },
      })
    return { ...seen, replicationLagReason: lagReason(seen, standbys), space: measured, diskUsage: usage }
  },
})

const bySize = ({ databases }: Space) => databases.map(({ name, bytes }) => ({ labels: { datname: name }, value: bytes }))

function lagReason({ standby, replicationLagSeconds }: Omit<Vitals, 'standbys'>, standbys: number): string | null {
  if (replicationLagSeconds !== null) return null
  if (standby) return 'nothing was replayed since this standby started'
  return standbys ? 'no standby has said how far it is, or the role may not see it (pg_monitor)' : 'no standby is connected'
}
