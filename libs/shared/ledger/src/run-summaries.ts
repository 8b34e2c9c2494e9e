// Runs that ended long ago, summed up by day, and with them what happened to each and its lines.
import type { Queryable } from './ledger.ts'
import { idBefore } from './runs.ts'

// The ids of runs begin with the time of their birth, so the oldest are found by the key. What others still stand on stays: a run with a listed backup, the newest
// success of an operation, and a run that was repeated or put back by one that stays. Each is asked for by itself and by its index: with joins a session that no longer
// plans anew reads whole tables for every batch (bench/growth).
const newer = `select 1 from runs n where n.state = 'succeeded' and n.operation = r.operation and n.finished_at > r.finished_at`
const sumUp = `
  with due as (
    select r.id from runs r
    where r.id < $1::uuid and r.finished_at < $2 and r.state in ('succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped')
      and (select 1 from artifacts a where a.run = r.id limit 1) is null
      and (select 1 from runs c where c.parent = r.id limit 1) is null
      and (r.state <> 'succeeded' or case when r.target is null then (${newer} and n.target is null limit 1) else (${newer} and n.target = r.target limit 1) end = 1)
    order by r.id limit $3 for update skip locked
  ), chosen as materialized (select array(select id from due) as ids
  ), summed as (
    insert into run_summaries as s (day, task, target, operation, schedule, mode, state, runs, slots, attempts, busy_ms, longest_ms)
    select (coalesce(slot, queued_at) at time zone 'UTC')::date, task, coalesce(target, ''), operation, coalesce(schedule, ''), mode, state,
           count(*), coalesce(sum(slots) filter (where slot is not null), 0), sum(attempt), coalesce(sum(ms), 0), coalesce(max(ms), 0)
    from (select r.*, (extract(epoch from finished_at - started_at) * 1000)::bigint as ms from runs r where id = any ((select ids from chosen)::uuid[])) old
    group by 1, 2, 3, 4, 5, 6, 7
    on conflict (day, task, target, operation, schedule, mode, state) do update set
      runs = s.runs + excluded.runs, slots = s.slots + excluded.slots, attempts = s.attempts + excluded.attempts,
      busy_ms = s.busy_ms + excluded.busy_ms, longest_ms = greatest(s.longest_ms, excluded.longest_ms)
  ), without_history as (delete from history where run = any ((select ids from chosen)::uuid[])
  ), without_lines as (delete from run_logs where run = any ((select ids from chosen)::uuid[])
  ), without_holds as (delete from artifact_holds where run = any ((select ids from chosen)::uuid[])
  )
  delete from runs where id = any ((select ids from chosen)::uuid[])`

/** Sums up at most `limit` runs that ended before `before`, in one statement: killed in it, nothing is counted and nothing gone. Returns how many; 0: none is left. */
export const sumUpRuns = async (db: Queryable, before: Date, limit = 500): Promise<number> =>
  (await db.query(sumUp, [idBefore(before), before, limit])).rowCount ?? 0
