// Feels the server's pulse while batches run: who waits for our locks, how much others do, how far standbys and archive are behind.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Statements } from '../task.ts'
import type { Felt } from './governor.ts'

// Who is blocked is asked only of those that wait: the question stops the lock table for a moment.
const feel = `
  SELECT sessions.behind, sessions.lively,
         (SELECT sum(xact_commit + xact_rollback)::float8 FROM pg_stat_database) AS transactions,
         (SELECT sum(numbackends)::float8 FROM pg_stat_database) / current_setting('max_connections')::float8 AS connections,
         standby.ms AS "replicaMs", standby.bytes AS "replicaBytes", standby.count > 0 AS replicates,
         current_setting('archive_mode') <> 'off' AS archives,
         archiver.last_failed_time > coalesce(archiver.last_archived_time, '-infinity') AS failing,
         CASE WHEN NOT pg_is_in_recovery() AND archiver.last_archived_wal ~ '^[0-9A-F]{24}$' THEN
           (pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') / size.bytes)::float8
           - ('x' || substr(archiver.last_archived_wal, 9, 8))::bit(32)::bigint::float8 * (4294967296 / size.bytes)
           - ('x' || substr(archiver.last_archived_wal, 17, 8))::bit(32)::bigint::float8 END AS "archiveBehind"
    FROM (SELECT count(*) FILTER (WHERE CASE WHEN wait_event_type = 'Lock' THEN $1::int = ANY (pg_blocking_pids(pid)) END)::int AS behind,
                 count(*) FILTER (WHERE backend_type = 'client backend' AND state_change > clock_timestamp() - interval '1 s'
                                    AND application_name NOT LIKE 'dbops:%')::int AS lively
            FROM pg_stat_activity) AS sessions,
         (SELECT count(*) AS count, (extract(epoch FROM max(replay_lag)) * 1000)::float8 AS ms,
                 max(pg_wal_lsn_diff(CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END, replay_lsn))::float8 AS bytes
            FROM pg_stat_replication WHERE state = 'streaming') AS standby,
         pg_stat_archiver AS archiver,
         (SELECT setting::float8 AS bytes FROM pg_settings WHERE name = 'wal_segment_size') AS size`

interface Reading {
  behind: number
  lively: number
  transactions: number
  connections: number
  replicates: boolean
  replicaMs: number | null
  replicaBytes: number | null
  archives: boolean
  failing: boolean | null
  archiveBehind: number | null
}

export interface Pulse extends AsyncDisposable {
  /** What was felt since the last call; the worst of it where it was worse. */
  take(): Felt
}

/** ms between two looks. */
const every = 200
/** ms over which the transactions of others are counted: the server adds them up once a second. */
const span = 2_000
/** What looking and a purge add to that count per second, roughly. */
const ours = 15

/** Looks through `pg`, which nobody else uses meanwhile, at what the session `worker` does to others. Throws nothing: what cannot be seen is null. */
export async function feelPulse(pg: Statements, worker: number): Promise<Pulse> {
  const over = new AbortController()
  const counts: { at: number; transactions: number }[] = []
  let worst = 0
  let last: Felt = { behind: 0, others: null, lively: 0, connections: 0, replicaLag: null, archive: null }
  const look = async () => {
    const [seen] = (await pg.query<Reading>(feel, [worker])) as [Reading]
    worst = Math.max(worst, seen.behind)
    counts.push({ at: performance.now(), transactions: seen.transactions })
    while (counts.length > 2 && counts[1]!.at < performance.now() - span) counts.shift()
    last = {
      behind: 0,
      others: perSecond(counts),
      lively: seen.lively,
      connections: seen.connections,
      replicaLag: seen.replicates ? { ms: seen.replicaMs, bytes: seen.replicaBytes } : null,
      archive: seen.archives ? { behind: seen.archiveBehind ?? 0, failing: seen.failing ?? false } : null,
    }
  }
  await look()
  const looking = (async () => {
    for (;;) {
      await sleep(every, undefined, { signal: over.signal })
      await look()
    }
  })().catch(() => undefined)
  return {
    take() {
      const felt = { ...last, behind: worst }
      worst = 0
      return felt
    },
    async [Symbol.asyncDispose]() {
      over.abort()
      await looking
    },
  }
}

function perSecond(counts: { at: number; transactions: number }[]): number | null {
  const [first, last] = [counts[0]!, counts.at(-1)!]
  const seconds = (last.at - first.at) / 1_000
  return seconds < 0.9 ? null : Math.max(0, (last.transactions - first.transactions) / seconds - ours)
}
