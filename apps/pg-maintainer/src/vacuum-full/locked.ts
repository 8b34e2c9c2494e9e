// Asks for a table's lock without making the traffic queue up: briefly, several times, and then not any more.
import { setTimeout as sleep } from 'node:timers/promises'
import { Later } from '@dbops/contract/failure'
import { describeRoot, type LockRoot } from '../locks/root.ts'
import { hintOf, watchLocks } from '../locks/watch.ts'
import type { Postgres, Statements } from '../task.ts'
import { isLocked } from '../vacuum/skipped.ts'

/** Whoever comes after us waits for us as well, so this is the longest that anybody waits for our wish alone. */
const lockTimeout = 500
/** Milliseconds before each further try. */
const pauses = [1_000, 2_000, 4_000, 8_000, 15_000]
/** Milliseconds until the run is looked at again, when it was all in vain. */
const later = 300_000

const setLockTimeout = `SELECT set_config('lock_timeout', $1, false)`
const holdersOf = `
  SELECT l.pid, coalesce(nullif(application_name, ''), backend_type, 'a session') AS name, usename AS role, xact_start AS since, state
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
   WHERE l.locktype = 'relation' AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.relation = $1
     AND l.granted AND l.pid <> pg_backend_pid()
   ORDER BY xact_start NULLS LAST
   LIMIT 10`

/** Who has a lock on the table now, the oldest transaction first: all of them are waited for. */
export const lockHolders = (pg: Statements, oid: number) => pg.query<LockRoot>(holdersOf, [oid])

/**
 * Runs `work`, one statement that wants a strong lock on `table`, until it has it. Returns how often it was tried. Throws `Later` (`lock_not_had`) with whoever
 * holds it; every other error at once.
 */
export async function locked(
  pg: Postgres,
  table: { oid: number; table: string },
  work: () => Promise<unknown>,
  { signal, paused = pauses, told }: { signal: AbortSignal; paused?: readonly number[]; told?: (tries: number, holder: string) => void },
): Promise<number> {
  await pg.query(setLockTimeout, [String(lockTimeout)])
  await using watch = watchLocks(pg, lockTimeout / 3)
  for (let tries = 1; ; tries++) {
    try {
      await work()
      return tries
    } catch (error) {
      if (!isLocked(error)) throw error
      const root = watch.seen() ?? (await lockHolders(pg, table.oid))[0]
      const holder = root ? describeRoot(root) : 'somebody who is gone now'
      told?.(tries, holder)
      const pause = paused[tries - 1]
      if (pause === undefined)
        throw new Later(`the lock on ${table.table} was not to be had in ${tries} tries of ${lockTimeout}ms: ${holder}`, later, {
          code: 'lock_not_had',
          hint: root ? hintOf(root) : 'tried again by itself',
          cause: error,
        })
      await sleep(pause, undefined, { signal })
    }
  }
}
