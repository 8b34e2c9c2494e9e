// Who keeps dead rows from being removed: every snapshot that may still have to see them.
import type { Statements } from '../task.ts'

export interface Holder {
  kind: 'session' | 'standby' | 'slot' | 'prepared'
  /** The application's name, the slot's, or the transaction's global id. */
  name: string
  pid: number | null
  role: string | null
  since: Date | null
  state: string | null
  /** How many transactions ago its horizon was the newest. */
  age: number
}

// A session holds by its snapshot and, once it has written, by its own transaction id. Sessions of other databases hold nothing here; a
// walsender stands for a standby with feedback and holds everywhere, as slots do. catalog_xmin keeps rows of system catalogs only ($1).
// VACUUM itself holds nothing back.
const holders = `
  SELECT CASE backend_type WHEN 'walsender' THEN 'standby' ELSE 'session' END AS kind,
         coalesce(nullif(application_name, ''), backend_type) AS name, pid, usename AS role, xact_start AS since, state,
         greatest(age(backend_xmin), age(backend_xid)) AS age
    FROM pg_stat_activity
   WHERE greatest(age(backend_xmin), age(backend_xid)) IS NOT NULL
     AND pid <> pg_backend_pid()
     AND (datname = current_database() OR backend_type = 'walsender')
     AND query !~* '^\\s*(autovacuum: )?vacuum'
  UNION ALL
  SELECT 'slot', slot_name, active_pid, NULL, NULL, CASE WHEN active THEN 'in use' ELSE 'read by nobody' END,
         greatest(age(xmin), CASE WHEN $1 THEN age(catalog_xmin) END)
    FROM pg_replication_slots
   WHERE greatest(age(xmin), CASE WHEN $1 THEN age(catalog_xmin) END) IS NOT NULL
  UNION ALL
  SELECT 'prepared', gid, NULL, owner, prepared, 'prepared', age(transaction)
    FROM pg_prepared_xacts
   WHERE database = current_database()
   ORDER BY age DESC`

/** Whoever holds the horizon of this database now, the oldest first. Without pg_monitor the sessions of other roles cannot be seen. */
export const horizonHolders = (pg: Statements, forCatalog: boolean) => pg.query<Holder>(holders, [forCatalog])

/** `dbops:1f2e3d4c:17:pg.dump` under the installation of `mine` → 17. */
export function fenceOfOurDump(holder: Pick<Holder, 'kind' | 'name'>, mine: string): string | undefined {
  const [, installation] = mine.split(':')
  const [system, theirs, fence, task] = holder.name.split(':')
  return holder.kind === 'session' && system === 'dbops' && theirs === installation && task === 'pg.dump' ? fence : undefined
}

/** One holder in words, and what to do about it. */
export function describeHolder({ kind, name, pid, role, since, state }: Holder): { who: string; hint: string } {
  const when = since ? ` since ${since.toISOString()}` : ''
  if (kind === 'slot')
    return {
      who: `replication slot "${name}" (${state})`,
      hint: `let its reader catch up, or drop it: SELECT pg_drop_replication_slot('${name}')`,
    }
  if (kind === 'prepared')
    return { who: `prepared transaction "${name}" of ${role}${when}`, hint: `finish it: COMMIT PREPARED or ROLLBACK PREPARED '${name}'` }
  if (kind === 'standby') return { who: `standby "${name}" by its feedback${when}`, hint: 'end the long query on that standby' }
  return {
    who: `session ${pid} "${name}" of ${role} (${state})${when}`,
    hint: `end its transaction, or the session: SELECT pg_terminate_backend(${pid})`,
  }
}
