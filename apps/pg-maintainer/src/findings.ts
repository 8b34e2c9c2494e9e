// What only this process and the server can tell before the first run: which programs are here, who the role is, and what it may not do.
import type { PgTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { targetUrl } from '@dbops/runtime/connection'
import type { Finding, OpenTarget } from '@dbops/runtime/engine'
import { redact } from '@dbops/runtime/redact'
import { installedPostgres } from '@dbops/servers/install'
import { openSession } from './session.ts'
import type { ClientProgram } from './task.ts'
import { toolFor } from './tool.ts'

const programs: ClientProgram[] = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql', 'pg_amcheck']
/** Without these something is left out; without any other a task fails. */
const optional = new Set<ClientProgram>(['pg_amcheck'])

/** The client programs on this machine, and the servers that a restore check may start, with their versions. */
export async function tools(): Promise<Finding[]> {
  const found = programs.map(async program => {
    const finding = await toolFinding(program, { major: 15, version: '15' })
    return finding.level === 'error' && optional.has(program) ? { ...finding, level: 'warning' as const } : finding
  })
  return [...(await Promise.all(found)), scratchServers()]
}

function scratchServers(): Finding {
  const majors = installedPostgres().map(({ major }) => major)
  if (majors.length) return { level: 'ok', what: `restore checks start PostgreSQL ${majors.join(', ')}` }
  return {
    level: 'warning',
    what: 'there is no PostgreSQL server on this machine: pg.restore-check has nothing to restore into',
    hint: 'install the major version of the targets: apt-get install postgresql-15',
  }
}

async function toolFinding(program: ClientProgram, server: { major: number; version: string }, target?: string): Promise<Finding> {
  try {
    return { ...(target ? { target } : {}), level: 'ok', what: `${program} ${(await toolFor(program, server)).version}` }
  } catch (error) {
    const { message, hint } = failureOf(error)
    return { ...(target ? { target } : {}), level: 'error', what: message, ...(hint ? { hint } : {}) }
  }
}

const describeRole = `
  SELECT current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
         pg_is_in_recovery() AS standby, current_user AS role,
         rolsuper AS super, rolsuper OR rolbypassrls AS "bypassesRls",
         pg_has_role(current_user, 'pg_read_all_data', 'USAGE') AS "readsAll",
         pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS "seesAll"
    FROM pg_roles
   WHERE rolname = current_user`
const tablesOutOfReach = `
  SELECT count(*) FILTER (WHERE NOT pg_has_role(current_user, relowner, 'USAGE'))::int AS foreign,
         count(*) FILTER (WHERE NOT has_table_privilege(oid, 'SELECT'))::int AS unreadable,
         count(*)::int AS total,
         array_agg(DISTINCT pg_get_userbyid(relowner)::text) FILTER (WHERE NOT pg_has_role(current_user, relowner, 'USAGE')) AS owners
    FROM pg_class
   WHERE relkind IN ('r', 'p', 'm') AND relpersistence <> 't'
     AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)`

/** Findings about one target. What cannot be found out because the target does not answer is a finding itself. */
export async function inspect({ name: target, config }: OpenTarget<PgTarget>, signal: AbortSignal): Promise<Finding[]> {
  try {
    const session = await openSession(targetUrl(target, config), { name: 'dbops:inspect', signal })
    try {
      const [role] = await session.query<Role>(describeRole)
      const [reach] = await session.query<Reach>(tablesOutOfReach)
      return [
        { target, level: 'ok', what: `PostgreSQL ${role!.version}, as ${role!.role}${role!.standby ? ', a standby' : ''}` },
        ...(await Promise.all(programs.map(program => toolFinding(program, role!, target)))),
        ...rights(target, role!, reach!),
      ]
    } finally {
      await session.end()
    }
  } catch (error) {
    const { message, hint } = failureOf(error)
    return [{ target, level: 'error', what: redact(message), ...(hint ? { hint } : {}) }]
  }
}

interface Role {
  version: string
  major: number
  standby: boolean
  role: string
  super: boolean
  bypassesRls: boolean
  readsAll: boolean
  seesAll: boolean
}
interface Reach {
  foreign: number
  unreadable: number
  total: number
  owners: string[] | null
}

function rights(
  target: string,
  { role, super: all, standby, bypassesRls, seesAll }: Role,
  { foreign, unreadable, total, owners }: Reach,
): Finding[] {
  const found: Finding[] = []
  const warn = (what: string, hint: string) => found.push({ target, level: 'warning', what, hint })
  if (all) warn(`${role} is a superuser`, 'give this system a role of its own: member of the owners, pg_read_all_data, pg_monitor')
  if (standby) warn('the server is a standby', 'nothing can be vacuumed there: name the primary')
  if (unreadable) warn(`${role} may not read ${unreadable} of ${total} tables: pg.dump will refuse`, `GRANT pg_read_all_data TO ${role}`)
  if (foreign)
    warn(
      `${role} is no member of the owners of ${foreign} of ${total} tables: pg.vacuum would be skipped there`,
      `GRANT ${(owners ?? []).join(', ')} TO ${role}`,
    )
  if (!bypassesRls && foreign)
    warn(
      `${role} is bound by row level security: pg.dump refuses tables that it filters`,
      `ALTER ROLE ${role} BYPASSRLS, or make it a member of the owner`,
    )
  if (!seesAll) warn(`${role} does not see what other sessions do`, `GRANT pg_monitor TO ${role}`)
  return found
}
