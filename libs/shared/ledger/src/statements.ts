// What statements cost, as pg_stat_statements counts it: the counters as they were last read, and what moved between two readings.
import type { Queryable } from './ledger.ts'

/** What `query` alone can do, so that a probe's way into the ledger will do as well. */
type Asks = { query<Row extends object>(sql: string, values?: unknown[]): Promise<{ rows: Row[] }> }

/** Which entry of pg_stat_statements; ids as text, since they are larger than a number holds. */
export interface StatementKey {
  queryid: string
  toplevel: boolean
  userid: string
  dbid: string
}
/** Since the entry's reset: calls, milliseconds, rows, blocks (`hit` to `temp`), bytes of WAL. */
export interface Counters {
  calls: number
  totalMs: number
  rows: number
  hit: number
  read: number
  dirtied: number
  temp: number
  wal: number
}
export type Counted = StatementKey & Counters & { maxMs: number }

/** Of the whole server, beside the entries. */
export interface ServerState {
  /** Of a reset of everything, by hand or by a crash. An orderly restart keeps the counters. */
  statsReset: Date | null
  /** How often entries were thrown out to make room, since then. */
  dealloc: number
}
export interface LastCounted {
  /** The ledger's clock. */
  now: Date
  /** Null: the target was never read. */
  reading: (ServerState & { at: Date }) | null
  statements: (Counted & { id: number })[]
}

const lastReading = `
  select date_trunc('milliseconds', now()) as now, at, stats_reset as "statsReset", dealloc
    from (values (1)) one left join statement_readings on target = $1`
const lastCounters = `
  select id, queryid::text as queryid, toplevel, userid::text as userid, dbid::text as dbid,
         calls, total_ms as "totalMs", max_ms as "maxMs", rows, hit, read, dirtied, temp, wal
    from statements where target = $1`

/** Where the last reading of a target left off. */
export async function lastCounted(db: Asks, target: string): Promise<LastCounted> {
  const { rows } = await db.query<ServerState & { now: Date; at: Date | null }>(lastReading, [target])
  const { now, at, ...state } = rows[0]!
  if (!at) return { now, reading: null, statements: [] }
  return { now, reading: { ...state, at }, statements: (await db.query<Counted & { id: number }>(lastCounters, [target])).rows }
}

export interface StatementReading extends ServerState {
  target: string
  /** The reading that this one was compared with; null for the first of a target. */
  since: Date | null
  at: Date
  /** Why what moved is not all that happened. */
  missing: string[]
  /** Entries whose counters changed, as they stand now, and what they rose by. New ones have no id; those that are gone stand at 0 and rose by nothing. */
  changed: (Counted & { id: number | null; rose: Counters | null })[]
  /** Of the entries without an id. */
  texts: { queryid: string; text: string }[]
  roles: Map<string, string>
}

const takeOver = `
  insert into statement_readings (target, at, stats_reset, dealloc) values ($1, $3, $4, $5)
  on conflict (target) do update set at = excluded.at, stats_reset = excluded.stats_reset, dealloc = excluded.dealloc
    where statement_readings.at = $2
  returning target`
// An entry that was seen before under the same key keeps its id: what it did is told together.
const writeCounters = `
  insert into statements (target, moved_at, queryid, toplevel, userid, dbid, role, calls, total_ms, max_ms, rows, hit, read, dirtied, temp, wal)
  select $1, $2, * from unnest($3::bigint[], $4::bool[], $5::oid[], $6::oid[], $7::text[], $8::bigint[], $9::float8[], $10::float8[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[])
  on conflict (target, queryid, toplevel, userid, dbid) do update set moved_at = excluded.moved_at, calls = excluded.calls, total_ms = excluded.total_ms, max_ms = excluded.max_ms,
    rows = excluded.rows, hit = excluded.hit, read = excluded.read, dirtied = excluded.dirtied, temp = excluded.temp, wal = excluded.wal
  returning id, queryid::text as queryid, toplevel, userid::text as userid, dbid::text as dbid`
const updateCounters = `
  update statements set moved_at = $1, calls = n.calls, total_ms = n.total_ms, max_ms = n.max_ms, rows = n.rows, hit = n.hit, read = n.read, dirtied = n.dirtied, temp = n.temp, wal = n.wal
    from unnest($2::int[], $3::bigint[], $4::float8[], $5::float8[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
      as n (id, calls, total_ms, max_ms, rows, hit, read, dirtied, temp, wal)
   where statements.id = n.id`
const writeTexts = `
  insert into statement_texts (target, queryid, text) select $1, * from unnest($2::bigint[], $3::text[]) on conflict do nothing`
const writeWindow = `
  insert into statement_windows (target, since, until, missing, statements, calls, total_ms, rows, hit, read, dirtied, temp, wal)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

/**
 * Stores a reading, in the caller's transaction: the counters that changed, the texts that are new, and the window since the last reading. Does nothing, and answers false, when
 * another process has read the target since `since`: its window and this one would count the same calls twice.
 */
export async function saveStatements(db: Asks, r: StatementReading): Promise<boolean> {
  const { rows: taken } = await db.query(takeOver, [r.target, r.since, r.at, r.statsReset, r.dealloc])
  if (!taken.length) return false
  const known = r.changed.filter(one => one.id !== null)
  if (known.length) await db.query(updateCounters, [r.at, known.map(({ id }) => id), ...counterColumns(known)])
  const fresh = r.changed.filter(one => one.id === null)
  const ids = new Map<string, number>()
  if (fresh.length) {
    const keys = [fresh.map(one => one.queryid), fresh.map(one => one.toplevel), fresh.map(one => one.userid), fresh.map(one => one.dbid)]
    const roles = fresh.map(({ userid }) => r.roles.get(userid) ?? userid)
    const { rows } = await db.query<StatementKey & { id: number }>(writeCounters, [
      r.target,
      r.at,
      ...keys,
      roles,
      ...counterColumns(fresh),
    ])
    for (const row of rows) ids.set(keyOf(row), row.id)
    await db.query(writeTexts, [r.target, r.texts.map(({ queryid }) => queryid), r.texts.map(({ text }) => text)])
  }
  if (!r.since) return true
  const rose = r.changed.flatMap(one => (one.rose ? [{ id: one.id ?? ids.get(keyOf(one)), ...one.rose }] : []))
  const column = (name: keyof Counters) => rose.map(one => one[name])
  const { since, at, missing } = r
  await db.query(writeWindow, [
    r.target,
    since,
    at,
    missing,
    rose.map(({ id }) => id),
    ...(['calls', 'totalMs', 'rows', 'hit', 'read', 'dirtied', 'temp', 'wal'] as const).map(column),
  ])
  return true
}

const counterColumns = (all: Counted[]) =>
  (['calls', 'totalMs', 'maxMs', 'rows', 'hit', 'read', 'dirtied', 'temp', 'wal'] as const).map(name => all.map(one => one[name]))

export const keyOf = ({ queryid, toplevel, userid, dbid }: StatementKey) => `${queryid} ${toplevel} ${userid} ${dbid}`

const trimWindows = `delete from statement_windows where until < $1`
const trimReadings = `delete from statement_readings where at < $1 returning target`
// No window names it any more: a window that does is no older than its last move.
const trimGone = `
  delete from statements where target = any ($2) and moved_at < $1 and (calls = 0 or target = any ($3)) returning target, queryid::text as queryid`
const trimTexts = `
  delete from statement_texts t using unnest($1::text[], $2::bigint[]) as gone (target, queryid)
   where t.target = gone.target and t.queryid = gone.queryid and not exists (select from statements s where s.target = t.target and s.queryid = t.queryid)`

/**
 * Deletes the windows that ended before `before`, and of `target` what they alone named; of a target that was not read since then, everything. A window is one row, and as many
 * become too old as are read.
 */
export async function trimStatements(db: Asks, target: string, before: Date): Promise<void> {
  await db.query(trimWindows, [before])
  const left = (await db.query<{ target: string }>(trimReadings, [before])).rows.map(row => row.target)
  const { rows } = await db.query<{ target: string; queryid: string }>(trimGone, [before, [target, ...left], left])
  if (rows.length) await db.query(trimTexts, [rows.map(row => row.target), rows.map(({ queryid }) => queryid)])
}

export const orders = ['total', 'mean', 'calls', 'rows', 'wal'] as const
export type Order = (typeof orders)[number]

export interface TopStatement extends Counters {
  target: string
  queryid: string
  role: string
  avgMs: number
  /** Since the server's last reset, not within the window. */
  maxMs: number
  /** Of the target's time in the window, in percent. */
  share: number
  text: string
}
export interface WindowFacts {
  target: string
  /** The windows that end within what was asked for, from the beginning of the first to the end of the last. */
  since: Date
  until: Date
  windows: number
  calls: number
  totalMs: number
  /** Of statements that another one called: a part of the time above, not an addition. */
  nestedMs: number
  /** Of the roles that were left out. */
  ownMs: number
  missing: { until: Date; why: string[] }[]
}

const moved = `
  moved as (
    select w.target, d.id, sum(d.calls)::bigint as calls, sum(d.total_ms) as total_ms, sum(d.rows)::bigint as rows, sum(d.hit)::bigint as hit, sum(d.read)::bigint as read,
           sum(d.dirtied)::bigint as dirtied, sum(d.temp)::bigint as temp, sum(d.wal)::bigint as wal
      from statement_windows w,
           unnest(w.statements, w.calls, w.total_ms, w.rows, w.hit, w.read, w.dirtied, w.temp, w.wal) as d (id, calls, total_ms, rows, hit, read, dirtied, temp, wal)
     where w.until > $1 and ($2::text is null or w.target = $2)
     group by w.target, d.id)`
const orderBy: Record<Order, string> = {
  total: 'm.total_ms',
  mean: 'm.total_ms / m.calls',
  calls: 'm.calls',
  rows: 'm.rows',
  wal: 'm.wal',
}
const isOwn = `exists (select from unnest($3::text[], $4::text[]) as own (target, role) where own.target = s.target and own.role = s.role)`
const top = (by: Order, nested: boolean) => `
  with ${moved}
  select m.target, s.queryid::text as queryid, s.role, m.calls, m.total_ms as "totalMs", m.total_ms / m.calls as "avgMs", s.max_ms as "maxMs", m.rows, m.hit, m.read, m.dirtied,
         m.temp, m.wal, coalesce(100 * m.total_ms / nullif(sum(m.total_ms) over (partition by m.target), 0), 0) as share, coalesce(t.text, '') as text
    from moved m
    join statements s on s.id = m.id
    left join statement_texts t on t.target = s.target and t.queryid = s.queryid
   where ${nested ? 'not s.toplevel' : 's.toplevel'} and not ${isOwn}
   order by ${orderBy[by]} desc, m.target, s.id
   limit $5`
const facts = `
  with ${moved},
  sums as (
    select m.target, sum(m.calls) filter (where s.toplevel and not ${isOwn})::bigint as calls, sum(m.total_ms) filter (where s.toplevel and not ${isOwn}) as total_ms,
           sum(m.total_ms) filter (where not s.toplevel) as nested_ms, sum(m.total_ms) filter (where s.toplevel and ${isOwn}) as own_ms
      from moved m join statements s on s.id = m.id group by m.target)
  select w.target, min(w.since) as since, max(w.until) as until, count(*)::int as windows, coalesce(max(s.calls), 0) as calls, coalesce(max(s.total_ms), 0) as "totalMs",
         coalesce(max(s.nested_ms), 0) as "nestedMs", coalesce(max(s.own_ms), 0) as "ownMs",
         coalesce(jsonb_agg(jsonb_build_object('until', w.until, 'why', w.missing) order by w.until) filter (where w.missing <> '{}'), '[]') as missing
    from statement_windows w left join sums s using (target)
   where w.until > $1 and ($2::text is null or w.target = $2)
   group by w.target order by w.target`

export interface Asked {
  /** Windows that end later than this. */
  after: Date
  target?: string
  by: Order
  limit: number
  /** Statements that another one called, instead of those that a client sent. */
  nested?: boolean
  /** Roles whose statements are left out. */
  without: { target: string; role: string }[]
}

/** What cost the most between two times, of all targets or of one. */
export const topStatements = async (db: Queryable, { after, target, by, limit, nested = false, without }: Asked): Promise<TopStatement[]> =>
  (
    await db.query<TopStatement>(top(by, nested), [
      after,
      target ?? null,
      without.map(one => one.target),
      without.map(one => one.role),
      limit,
    ])
  ).rows

/** What the windows of that time are worth, for each target that has any. */
export const windowFacts = async (
  db: Queryable,
  { after, target, without }: Pick<Asked, 'after' | 'target' | 'without'>,
): Promise<WindowFacts[]> =>
  (await db.query<WindowFacts>(facts, [after, target ?? null, without.map(one => one.target), without.map(one => one.role)])).rows
