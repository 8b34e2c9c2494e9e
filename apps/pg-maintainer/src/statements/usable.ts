// Whether pg_stat_statements can be read as it is meant, and what would mend it.
import type { Fault } from '@dbops/contract/task'
import type { Statements } from '../task.ts'

// The setting is there when the library is loaded, and for nobody otherwise. Our own sessions name themselves.
const describe = `
  SELECT extnamespace::regnamespace::text AS schema, extversion AS version, current_user::text AS role,
         current_setting('pg_stat_statements.max', true)::int AS max,
         current_setting('pg_stat_statements.track', true) AS track,
         current_setting('compute_query_id') AS "queryIds",
         pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS "seesAll", has_schema_privilege(extnamespace, 'USAGE') AS "mayEnter",
         EXISTS (SELECT FROM pg_stat_activity
                  WHERE usename = current_user AND backend_type = 'client backend' AND application_name NOT LIKE 'dbops:%') AS shared
    FROM (VALUES (1)) one LEFT JOIN pg_extension ON extname = 'pg_stat_statements'`

export interface Extension {
  /** Quoted where need be. */
  schema: string
  /** Our own, whose statements are shown apart; `shared` when others work as it too. */
  role: string
  shared: boolean
  /** Entries that it has room for. */
  max: number
}

/** The extension, or what keeps it from being read: the first fault decides, since it hides the others. */
export async function usable(pg: Pick<Statements, 'query'>): Promise<Extension | Fault> {
  const [found] = await pg.query<{
    schema: string | null
    version: string | null
    role: string
    max: number | null
    track: string | null
    queryIds: string
    seesAll: boolean
    mayEnter: boolean | null
    shared: boolean
  }>(describe)
  const { schema, version, role, max, track, queryIds, seesAll, mayEnter, shared } = found!
  const fault = (key: string, what: string, sql: string, hint?: string): Fault => ({
    key,
    level: 'warning',
    what,
    sql,
    ...(hint ? { hint } : {}),
  })
  if (max === null)
    return fault(
      'not loaded',
      'pg_stat_statements is not loaded: what statements cost is not known',
      `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'`,
      'add it to what stands there already (SHOW shared_preload_libraries), then restart the server; on RDS: the parameter group',
    )
  if (schema === null || version === null)
    return fault(
      'extension missing',
      'the extension pg_stat_statements is not in this database: what statements cost is not known',
      'CREATE EXTENSION pg_stat_statements',
    )
  if (Number(version.split('.')[1]) < 9 && version.startsWith('1.'))
    return fault(
      'extension old',
      `pg_stat_statements is ${version}; before 1.9 it does not tell nested statements apart, nor what it has thrown out`,
      'ALTER EXTENSION pg_stat_statements UPDATE',
    )
  if (!seesAll)
    return fault(
      'not allowed',
      `${role} sees only its own statements`,
      `GRANT pg_read_all_stats TO ${role}`,
      'pg_monitor has it among others',
    )
  if (!mayEnter)
    return fault(
      'not allowed',
      `${role} may not use the schema ${schema} that pg_stat_statements is in`,
      `GRANT USAGE ON SCHEMA ${schema} TO ${role}`,
    )
  if (track === 'none')
    return fault(
      'not tracking',
      'pg_stat_statements.track is "none": nothing is counted',
      `ALTER SYSTEM SET pg_stat_statements.track = 'top'`,
      'then SELECT pg_reload_conf()',
    )
  if (queryIds === 'off')
    return fault(
      'no query ids',
      'compute_query_id is off: nothing is counted',
      `ALTER SYSTEM SET compute_query_id = 'auto'`,
      'then SELECT pg_reload_conf()',
    )
  return { schema, role, shared, max }
}
