// Which sessions of the server are of which pool: by patterns in which * stands for anything.
import type { Pool } from '@dbops/contract/config-file'
import type { Statements } from '../task.ts'

/** Sessions that a pool cannot tell apart. */
export interface SessionGroup {
  application_name: string
  user: string
  database: string
  sessions: number
  /** In a query or a transaction. Null where the role may not see it. */
  checkedout: number | null
  /** The age in seconds of the oldest connection; null where the role may not see it. */
  oldest: number | null
  /** The greatest age in seconds at which a connection of the group was given its last statement. */
  oldestUse: number | null
}

// Our own sessions belong to no pool of the platform, also where a pool is told by its user alone.
const groupSessions = `
  SELECT application_name, coalesce(usename, '') AS "user", coalesce(datname, '') AS database, count(*)::int AS sessions,
         CASE WHEN bool_and(state IS NOT NULL) THEN count(*) FILTER (WHERE state NOT IN ('idle', 'disabled'))::int END AS checkedout,
         extract(epoch FROM clock_timestamp() - min(backend_start))::float8 AS oldest,
         extract(epoch FROM max(query_start - backend_start))::float8 AS "oldestUse"
    FROM pg_stat_activity
   WHERE (backend_type = 'client backend' OR backend_type IS NULL AND datid IS NOT NULL)
     AND NOT starts_with(application_name, 'dbops:')
   GROUP BY 1, 2, 3`

export const sessionGroups = (pg: Statements) => pg.query<SessionGroup>(groupSessions)

/** Every pattern that is given must match the whole of its word. */
export const belongsTo = (match: Pool['match'], group: SessionGroup): boolean =>
  (['application_name', 'user', 'database'] as const).every(key => match[key] === undefined || patternOf(match[key]).test(group[key]))

/** `core*` → /^core.*$/; everything but * is itself. */
const patternOf = (glob: string) => new RegExp(`^${glob.split('*').map(escape).join('.*')}$`, 's')
const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
