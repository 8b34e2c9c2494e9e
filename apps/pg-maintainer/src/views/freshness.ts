// How old the rows of a view are. PostgreSQL keeps no time of a refresh, so it is put together from what can be known, and says from where.
import type { LedgerAccess } from '@dbops/contract/task'
import type { Statements } from '../task.ts'
import type { View } from './survey.ts'

export const freshnessSources = ['run', 'catalogue', 'commit time'] as const
export type FreshnessSource = (typeof freshnessSources)[number]

export interface Freshness {
  /** Null: no refresh is known. */
  refreshedAt: string | null
  source: FreshnessSource | null
}

// The moment of which the rows are, not that of the commit.
const lastRefresh = `
  select result ->> 'asOf' as "asOf" from runs
   where operation = $1 and target = $2 and state = 'succeeded' and mode = 'do'
   order by finished_at desc
   limit 1`

/** Of which moment the rows of our newest successful refresh of a group are. */
export const lastRefreshOf = async (ledger: LedgerAccess, group: string, target: string): Promise<string | null> =>
  (await ledger.query<{ asOf: string | null }>(lastRefresh, [`pg.refresh-views:${group}`, target])).rows[0]?.asOf ?? null

// Only where the server keeps commit times at all; those of frozen transactions are gone.
const commitTimes = `
  SELECT c.oid, CASE WHEN current_setting('track_commit_timestamp')::bool AND xmin::text::int8 > 2 THEN pg_xact_commit_timestamp(xmin) END AS at
    FROM pg_class c
   WHERE c.oid = ANY ($1)`

/** By view: when the transaction was committed that last changed its row in pg_class. */
export async function commitTimesOf(pg: Statements, views: readonly View[]): Promise<Map<number, string | null>> {
  const rows = await pg.query<{ oid: number; at: Date | null }>(commitTimes, [views.map(({ oid }) => oid)])
  return new Map(rows.map(({ oid, at }) => [oid, at?.toISOString() ?? null]))
}

/**
 * The youngest of what is known: our own run; the commit time; and a mark that has changed between two readings, which is how the refresh of
 * somebody else shows, to the minute. A grant or a change of owner changes the mark as well and cannot be told from it.
 */
export function freshnessOf(
  known: { run: string | null; commit: string | null },
  mark: string,
  before: (Freshness & { mark: string }) | undefined,
  now: string,
): Freshness {
  const changed = before !== undefined && before.mark !== mark
  const candidates: [FreshnessSource, string | null | undefined][] = [
    ['run', known.run],
    ['commit time', known.commit],
    // With a commit time the change needs no guess.
    ['catalogue', known.commit ? null : changed ? now : before?.source === 'catalogue' ? before.refreshedAt : null],
  ]
  return candidates.reduce<Freshness>(
    (best, [source, at]) => (at && (!best.refreshedAt || at > best.refreshedAt) ? { refreshedAt: at, source } : best),
    { refreshedAt: null, source: null },
  )
}
