// pg.health: whether the server answers, and the few numbers that say how it is.
import { z } from 'zod'
import { defineProbe } from '../task.ts'

const vitals = `
  SELECT current_setting('server_version') AS version,
         extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS "uptimeSeconds",
         current_setting('max_connections')::int AS "maxConnections",
         (SELECT jsonb_object_agg(state, n)
            FROM (SELECT coalesce(state, 'hidden') AS state, count(*)::int AS n
                    FROM pg_stat_activity
                   WHERE backend_type = 'client backend' OR backend_type IS NULL AND datid IS NOT NULL
                   GROUP BY 1) AS by_state) AS connections,
         pg_is_in_recovery() AS standby,
         CASE WHEN pg_is_in_recovery()
              THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8
              ELSE (SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_stat_replication)
          END AS "replicationLagSeconds"`

export default defineProbe({
  name: 'pg.health',
  summary: 'Whether the server answers: version, uptime, connections, replication lag',
  every: '10s',
  result: z.strictObject({
    version: z.string(),
    uptimeSeconds: z.number(),
    maxConnections: z.int(),
    /** By state; `hidden` are those of other roles, where the role may not see them (pg_monitor). */
    connections: z.record(z.string(), z.int()),
    standby: z.boolean(),
    /** Null where there is no standby, or none that lags. */
    replicationLagSeconds: z.number().nullable(),
  }),
  emits: { failed: 'db_connection_failed', recovered: 'db_connection_recovered' },
  gauges: ({ uptimeSeconds, maxConnections, connections, replicationLagSeconds }) => ({
    uptime_seconds: uptimeSeconds,
    connections_max: maxConnections,
    connections: Object.values(connections).reduce((sum, n) => sum + n, 0),
    replication_lag_seconds: replicationLagSeconds,
  }),
  async look(c) {
    const [seen] = await c.pg.query<{
      version: string
      uptimeSeconds: number
      maxConnections: number
      connections: Record<string, number>
      standby: boolean
      replicationLagSeconds: number | null
    }>(vitals)
    return seen!
  },
})
