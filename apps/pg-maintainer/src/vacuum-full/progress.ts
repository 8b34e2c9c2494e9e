// Shows how far a rewriting is: the working session is busy with it, so a second one looks.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Postgres } from '../task.ts'

// VACUUM FULL is a CLUSTER without an order, to the server too.
const look = `
  SELECT phase, heap_blks_total::float8 AS total, heap_blks_scanned::float8 AS scanned, index_rebuild_count::int AS indexes
    FROM pg_stat_progress_cluster
   WHERE relid = $1 AND datname = current_database()`

/** Runs `work` and tells its progress in blocks, `every` so many ms; what is shorter is not looked at. What goes wrong with the looking is of no importance. */
export async function watched<T>(
  pg: Postgres,
  oid: number,
  tell: (scanned: number, total: number, phase: string) => void,
  work: () => Promise<T>,
  every = 5_000,
): Promise<T> {
  const over = new AbortController()
  const watching = watch(pg, oid, tell, every, over.signal).catch(() => undefined)
  try {
    return await work()
  } finally {
    over.abort()
    await watching
  }
}

async function watch(
  pg: Postgres,
  oid: number,
  tell: (scanned: number, total: number, phase: string) => void,
  every: number,
  over: AbortSignal,
) {
  await sleep(every, undefined, { signal: over })
  await using eye = await pg.session()
  for (;;) {
    const [seen] = await eye.query<{ phase: string; total: number; scanned: number; indexes: number }>(look, [oid])
    if (seen) tell(seen.scanned, seen.total, seen.indexes ? `${seen.phase}, ${seen.indexes} indexes done` : seen.phase)
    await sleep(every, undefined, { signal: over })
  }
}
