// A year's rows, as the services would have written them: by the planned slots of each schedule, in the order of time, so that they lie on the disk as they would have come to lie.
import { slotsBetween } from '@dbops/contract/slots'
import type { Client } from 'pg'
import { say } from '../../report.ts'
import { minuteOf, schedulesOfOne } from './plan.ts'

const zone = 'Asia/Seoul'
const hour = 3_600_000
/** What an event sets off is taken to come so often. */
const eventsEach = '0 */6 * * *'
/** Out of a thousand runs. What comes after is a success. */
const ofThousand = { failed: 6, timed_out: 1, skipped: 3 }
/** Lines of a run in the ledger; most tasks write two, some a few more. */
const linesEach = 3

const born = `
  create unlogged table born as
  select row_number() over (order by at, name, copy) as n, *,
         (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(name || copy || at), 1, 3) || '8' || substr(md5(name || copy || at), 4, 15))::uuid as id,
         ('x' || substr(md5(copy || name || at || 'end'), 1, 8))::bit(32)::bigint % 1000 as lot
  from (select name, copy, date_trunc('hour', slot) + make_interval(mins => (minute + copy) % 60) as at
        from slots cross join generate_series(0, $1::int - 1) copy) as all_slots
  where at < now() - interval '1 hour'
  order by at, name, copy`

const state = `case when lot < ${ofThousand.failed} then 'failed' when lot < ${ofThousand.failed + ofThousand.timed_out} then 'timed_out'
  when lot < ${ofThousand.failed + ofThousand.timed_out + ofThousand.skipped} then 'skipped' else 'succeeded' end`

// Results and evidence are of the size that those of a purge have.
const runs = `
  insert into runs (id, task, engine, lane, target, mode, state, cause, actor, schedule, slot, operation, spec, queued_at, not_before, valid_until, started_at, finished_at,
                    dispatch, dispatched_at, offered_at, attempt, attempts, retry, backoff_ms, timeout_ms, fence, worker, delivery, attempt_at, lease_until, guarded, policy, result, evidence, error)
  select b.id, s.task, s.spec ->> 'engine', s.spec ->> 'lane', nullif(s.target, ''), 'do', ${state}, jsonb_build_object('kind', 'schedule', 'schedule', s.name), 'scheduler', s.name, at,
         s.spec ->> 'operation', jsonb_build_object('params', s.spec -> 'params', 'entries', s.spec -> 'entries'), at, at, at + interval '1 hour', at + interval '1 s', at + interval '1 min',
         0, at, at, 1, 3, s.spec ->> 'retry', 30000, 600000, b.n, 'pg-maintainer@a-host:4242', b.id, at + interval '1 s', at + interval '90 s', true,
         jsonb_build_object('at', at, 'verdict', 'allow'),
         case when lot >= 10 then jsonb_build_object('deleted', lot * 100, 'batches', lot, 'way', 'index', 'oldestKept', at) end,
         case when lot >= 10 then jsonb_build_object('left', 0, 'before', lot * 100, 'after', 0, 'question', 'select count(*) from core.event_outbox where published_at < $1', 'at', at) end,
         case when lot < 10 then jsonb_build_object('code', 'ECONNRESET', 'message', 'the connection to core was lost: server closed the connection unexpectedly') end
  from born b join schedules s on s.name = b.name || '-' || b.copy`

const history = `
  insert into history (run, at, event, attempt, fence, worker, detail)
  select id, at + step * interval '1 s', event, case when step > 1 then 1 end, case when step > 1 then n end, case when step > 1 then 'pg-maintainer@a-host:4242' end,
         case when step = 0 then '{"state": "queued", "cause": {"kind": "schedule"}, "actor": "scheduler"}'::jsonb end
  from born cross join (values (0, 'born'), (1, 'dispatched'), (2, 'claimed'), (3, 'succeeded')) as each (step, event)`

const lines = `
  insert into run_logs (run, n, at, level, line)
  select id, line, at + line * interval '1 s', 'info', 'attempt 1 of 3 on pg-maintainer@a-host:4242, and about as much again of what it did'
  from born cross join generate_series(1, ${linesEach}) line`

const ce = `jsonb_build_object('specversion', '1.0', 'id', b.id, 'source', '/dbops/pg-maintainer', 'type', 'io.axiom.dbops.cleanup_completed.v1', 'subject', 'pg/core-' || copy, 'time', at,
  'severity', 'info', 'environment', 'bench', 'operation', b.name, 'runid', b.id, 'data', jsonb_build_object('task', b.name, 'state', 'succeeded', 'attempt', 1, 'schedule', b.name || '-' || copy,
  'result', jsonb_build_object('deleted', lot, 'batches', lot, 'way', 'index', 'oldestKept', at), 'queuedAt', at, 'finishedAt', at))`

// What is kept for a shorter time: events of a week, entries of a reader's inbox of a month, alerts, findings and commands of ninety days.
const rest = (copies: number, days: number) => [
  `insert into outbox (id, event, ce, created_at, ord, published_at)
   select id, 'cleanup_completed', ${ce}, at, row_number() over (order by n), at from born b where at > now() - interval '7 days' order by n`,
  `update publisher set next_ord = (select count(*) + 1 from outbox)`,
  `insert into positions (reader, ord) select 'alert-relay', count(*) from outbox on conflict (reader) do update set ord = excluded.ord`,
  `insert into inbox (consumer, event, at) select reader, id, at from born, unnest(array['alert-relay', 'scheduler']) reader where at > now() - interval '30 days'`,
  `create unlogged table failures as select b.*, row_number() over (partition by name, copy order by at) as nth, name || '/core-' || copy as fingerprint
   from born b where lot < 7 and at > now() - interval '90 days'`,
  `insert into alerts (fingerprint, name, environment, engine, target, operation, episodes, last_success_at)
   select fingerprint, 'cleanup_failed', 'bench', 'pg', 'core-' || copy, name, count(*), now() from failures group by fingerprint, copy, name`,
  `insert into episodes (id, fingerprint, n, state, severity, since, last_at, resolved_at, event, resolved_by)
   select id, fingerprint, nth, case when at > now() - interval '1 day' then 'firing' else 'resolved' end, 'error', at, at, case when at > now() - interval '1 day' then null else at + interval '1 day' end, ${ce}, ${ce}
   from (select distinct on (fingerprint, at > now() - interval '1 day') * from failures) b`,
  `insert into episodes (id, fingerprint, n, state, severity, since, last_at, resolved_at, event, resolved_by)
   select id, fingerprint, nth, 'resolved', 'error', at, at, at + interval '1 hour', ${ce}, ${ce} from failures b on conflict do nothing`,
  `insert into deliveries (key, episode, channel, state, nth, status, attempts, created_at, at, next_at, payload)
   select concat_ws(':', id, channel, told, 0), id, channel, told, 0, 'delivered', 1, since, since, since, event::json
   from episodes, unnest(array['ops', 'log']) channel, unnest(array['firing', 'resolved']) told`,
  `insert into decisions (at, fingerprint, episode, channel, event, reason) select since, fingerprint, id, channel, id, 'sent' from episodes, unnest(array['ops', 'log']) channel`,
  `insert into findings (id, target, source, key, level, what, hint, evidence, state, gone_at)
   select gen_random_uuid(), 'core-' || copy, 'pg.tables', 'table ' || k, 'warning', 'core.event_outbox is not vacuumed often enough', 'see docs/operate', '{"dead": 100000}',
          case when k > 3 then 'gone' else 'open' end, case when k > 3 then now() - k * interval '1 day' end
   from generate_series(0, ${copies - 1}) copy, generate_series(1, 20) k`,
  `insert into probes (target, probe, state, since, at, result) select 'core-' || copy, 'pg.' || p, 'ok', now(), now(), jsonb_build_object('used', copy, 'of', 100)
   from generate_series(0, ${copies - 1}) copy, unnest(array['health', 'pool', 'locks', 'long', 'tables', 'views', 'settings', 'statements']) p`,
  `insert into artifacts (id, run, fence, environment, engine, target, kind, name, operation, store, place, location, bytes, files, created_at, manifest)
   select id, id, n, 'bench', 'pg', 'core-' || copy, 'dump', 'metadata-' || copy, 'pg.dump:metadata-' || copy, 'main', 'bench/postgres/' || id, 'file:///nowhere/' || id, 1000000, 4, at,
          jsonb_build_object('version', 1, 'server', jsonb_build_object('database', 'core'), 'files', (select jsonb_agg(jsonb_build_object('path', f, 'bytes', 1, 'sha256', md5(f::text))) from generate_series(1, 4) f))
   from born where name = 'dump-metadata'`,
  `insert into commands (id, key, verb, body, actor, created_at, answered_at, answer)
   select gen_random_uuid(), 'k' || k, 'run', '{"task": "pg.vacuum"}', 'ada', now() - k * interval '15 min', now() - k * interval '15 min', '{}' from generate_series(1, 8000) k`,
  `insert into audit (at, actor, action, subject) select now() - k * interval '1 hour', 'ada', 'paused', 'vacuum-' || k from generate_series(1, ${days * 24}) k`,
  `insert into dead_letters (id, reader, entry, reason, ce, at) select gen_random_uuid(), 'alert-relay', k || '-0', 'not JSON', '{', now() - k * interval '6 hours' from generate_series(1, 360) k`,
  `insert into statement_readings (target, at, dealloc) select 'core-' || copy, now() - interval '5 min', 0 from generate_series(0, 19) copy`,
  `insert into statements (target, queryid, toplevel, userid, dbid, role, moved_at, calls, total_ms, max_ms, rows, hit, read, dirtied, temp, wal)
   select 'core-' || copy, q, true, 10, 5, 'app', now(), q, q, 1, q, q, q, 1, 0, 0 from generate_series(0, 19) copy, generate_series(1, 1000) q`,
  `insert into statement_texts (target, queryid, text) select target, queryid, 'SELECT a, b, c FROM core.cases WHERE id = $1 AND tenant_id = $2 AND state = $3 -- ' || queryid from statements`,
  `insert into statement_windows (target, since, until, missing, statements, calls, total_ms, rows, hit, read, dirtied, temp, wal)
   select 'core-' || copy, now() - (w + 1) * interval '5 min', now() - w * interval '5 min', '{}', ids, numbers, numbers, numbers, numbers, numbers, numbers, numbers, numbers
   from generate_series(0, 19) copy
   cross join lateral (select array_agg(id::int) as ids, array_agg(calls) as numbers from (select id, calls from statements where target = 'core-' || copy order by id limit 100) s) moved
   cross join generate_series(1, ${Math.min(days, 14) * 288}) w`,
]

/** Fills an empty ledger that has the schedules already. `db` is a superuser's, with `dbops` in its search path. Returns how many runs there are. */
export async function fillYear(db: Client, copies: number, days: number, now: Date): Promise<number> {
  // Keys between tables hold by the way in which the rows are made; looking each up would take longer than all else.
  await db.query(`set session_replication_role = replica`)
  await db.query(`set maintenance_work_mem = '512MB'; set work_mem = '512MB'; set synchronous_commit = off`)
  await db.query(`create unlogged table slots (name text, slot timestamptz, minute int)`)
  const from = new Date(now.getTime() - days * 24 * hour)
  for (const [name, { cron = eventsEach }] of Object.entries(schedulesOfOne)) {
    const slots = slotsBetween(cron, zone, from, now, 100_000)
    await db.query(`insert into slots select $1, unnest($2::timestamptz[]), $3`, [name, slots, minuteOf(cron, 0)])
  }
  const count = (await db.query(born, [copies])).rowCount!
  say(`${count} runs of ${days} days`)
  const indexes = await withoutIndexes(db, ['runs', 'history', 'run_logs', 'inbox'])
  for (const [what, sql] of Object.entries({ runs, history, lines })) {
    await db.query(sql)
    say(`${what} are there`)
  }
  for (const sql of rest(copies, days)) await db.query(sql)
  await db.query(`select setval('fences', ${count + 1})`)
  say('the rest is there')
  for (const sql of indexes) await db.query(sql)
  await db.query('drop table born, slots, failures')
  await db.query('set session_replication_role = origin')
  await db.query('vacuum (freeze, analyze)')
  return count
}

/** Drops the indexes that serve no constraint, and returns what makes them again. */
async function withoutIndexes(db: Client, tables: string[]): Promise<string[]> {
  const { rows } = await db.query<{ name: string; definition: string }>(
    `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition from pg_index i
     where i.indrelid = any ($1::regclass[]) and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`,
    [tables],
  )
  for (const { name } of rows) await db.query(`drop index ${name}`)
  return rows.map(({ definition }) => definition)
}
