// Who keeps dead rows from being removed: every snapshot that may still have to see them.
import { rootOf } from '../locks/root.ts'
import type { Statements } from '../task.ts'
import type { Holder } from './holder.ts'

export interface Seen extends Omit<Holder, 'behind' | 'waitsFor'> {
  /** Whether its own transaction is the horizon. All others of the same age have it from their snapshots. */
  own: boolean
  /** For a lock. */
  waits: boolean
  /** When the statement that it is busy with began. */
  statementAt: Date | null
}

// A session holds by its snapshot and, once it has written, by its own transaction id. A walsender stands for a standby with feedback and holds
// everywhere, as slots do. catalog_xmin keeps rows of system catalogs only ($1). VACUUM itself holds nothing back.
// Transactions of other databases hold nothing here, but every snapshot here is as old as the oldest of them: they count where one of ours is
// such a snapshot, and for what works by a snapshot of its own ($2).
const holders = `
  WITH activity AS MATERIALIZED (
    SELECT *, datname = current_database() OR backend_type = 'walsender' AS here
      FROM pg_stat_activity
     WHERE pid <> pg_backend_pid() AND query !~* '^\\s*(autovacuum: )?vacuum'),
  snapshots AS MATERIALIZED (
    SELECT backend_xmin FROM activity WHERE here
     UNION ALL
    SELECT backend_xmin FROM pg_stat_activity WHERE $2 AND pid = pg_backend_pid())
  SELECT CASE backend_type WHEN 'walsender' THEN 'standby' ELSE 'session' END AS kind,
         coalesce(nullif(application_name, ''), backend_type) AS name, pid, usename AS role, CASE WHEN NOT here THEN datname END AS database,
         xact_start AS since, state, CASE WHEN here THEN greatest(age(backend_xmin), age(backend_xid)) ELSE age(backend_xid) END AS age,
         coalesce(age(backend_xid) >= coalesce(age(backend_xmin), 0), false) AS own, coalesce(wait_event_type = 'Lock', false) AS waits,
         CASE state WHEN 'active' THEN query_start END AS "statementAt"
    FROM activity
   WHERE here AND greatest(age(backend_xmin), age(backend_xid)) IS NOT NULL
      OR backend_xid IN (SELECT backend_xmin FROM snapshots)
  UNION ALL
  SELECT 'slot', slot_name, active_pid, NULL, NULL, NULL, CASE WHEN active THEN 'in use' ELSE 'read by nobody' END,
         greatest(age(xmin), CASE WHEN $1 THEN age(catalog_xmin) END), false, false, NULL
    FROM pg_replication_slots
   WHERE greatest(age(xmin), CASE WHEN $1 THEN age(catalog_xmin) END) IS NOT NULL
  UNION ALL
  SELECT 'prepared', gid, NULL, owner, nullif(database, current_database()), prepared, 'prepared', age(transaction), true, false, NULL
    FROM pg_prepared_xacts
   WHERE database = current_database() OR transaction IN (SELECT backend_xmin FROM snapshots)`

/**
 * Whoever holds the horizon of this database now, the oldest first; of those the first is the one whose end would move it.
 * Without pg_monitor the sessions of other roles cannot be seen. `rewriting`: of VACUUM FULL, which copies whatever its own snapshot may see.
 */
export async function horizonHolders(pg: Statements, forCatalog: boolean, rewriting = false): Promise<Holder[]> {
  const held: Holder[] = []
  for (const { waits, ...holder } of ranked(await pg.query<Seen>(holders, [forCatalog, rewriting]), rewriting))
    held.push({ ...holder, waitsFor: waits && held.length < mostFollowed ? ((await rootOf(pg, [holder.pid!])) ?? null) : null })
  return held
}

/** Of so many it is asked whom they wait for: pg_blocking_pids stops the lock manager for a moment each time. */
const mostFollowed = 3

/**
 * Without those that only stand behind another. Of one age a prepared transaction goes first, since it ends by nobody's going away, then the
 * oldest transaction: a snapshot that was there when the next transaction number was given away is as old as the transaction that got it. Pure.
 */
export function ranked(seen: readonly Seen[], rewriting = false): (Omit<Holder, 'waitsFor'> & { waits: boolean })[] {
  return seen
    .filter(one => !seen.some(owner => isBehind(one, owner)))
    .toSorted((a, b) => b.age - a.age || Number(b.kind === 'prepared') - Number(a.kind === 'prepared') || millis(a) - millis(b))
    .map(one => ({ one, behind: seen.filter(other => isBehind(other, one)).length }))
    .filter(({ one, behind }) => one.database === null || behind > 0 || rewriting)
    .map(({ one: { own: _own, statementAt: _statementAt, ...holder }, behind }) => ({ ...holder, behind }))
}

const millis = ({ since }: Seen) => since?.getTime() ?? Number.MAX_SAFE_INTEGER

/** One that waits for a lock, or whose statement began later, has the number of `owner` in its snapshot: it goes on, or sees further, when that ends. */
const isBehind = (one: Seen, owner: Seen): boolean =>
  owner.own &&
  !one.own &&
  one.kind === 'session' &&
  one.age === owner.age &&
  (one.waits || (one.statementAt !== null && owner.since !== null && one.statementAt >= owner.since))
