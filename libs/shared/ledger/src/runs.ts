// Runs: birth, dispatch, claim, lease, end. This file alone changes a run's state; every change leaves its row in `history` in the same transaction.
//
//   (birth) ──► queued ──claim──► running ──► succeeded | failed | timed_out | cancelled | refused
//      │          ▲ ▲                │  │
//      │          │ └─wake── parked ◄┘  └─ retry, later, release, lost ──► queued (dispatch + 1)
//      ├──► awaiting_approval ──approve──► queued
//      └──► skipped | refused        queued, parked, awaiting_approval ──► cancelled | timed_out | skipped | refused
//
// Times are the ledger's own (`now()`), except slots and windows, which come from the caller's clock.

import type { Envelope } from '@dbops/contract/envelope'
import type { Failure } from '@dbops/contract/failure'
import { v7 as uuidv7 } from 'uuid'
import { recordArtifact, type Sealed } from './artifacts.ts'
import type { Queryable } from './ledger.ts'
import { publish, putEvents, rowsOf } from './outbox.ts'

export const unfinished = ['awaiting_approval', 'queued', 'running', 'parked'] as const
export const final = ['succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped'] as const
export const states = [...unfinished, ...final] as const
export type State = (typeof states)[number]
export type FinalState = (typeof final)[number]
export const isFinal = (state: State): state is FinalState => (final as readonly string[]).includes(state)

export interface Lock {
  name: string
  exclusive: boolean
}
/** What was decided at the birth: a resumed run does what was decided then, whatever the configuration says now. */
export interface Spec {
  params: Record<string, unknown>
  entries: Record<string, unknown>
  /** Slot (of a command: birth) − age of the entry that has an age, as ISO 8601: what is older goes, however late the run begins. */
  cutOff?: string
  window?: { name: string; atEnd: 'finish' | 'stop' }
  /** Of a recovery: the run and the fences whose places it looks after. */
  recovers?: { run: string; bornAt: string }
}
/** Of a run that another person approves; null until its plan is there, and of all others. */
export interface Approval {
  /** Of the plan: this is what is approved. */
  digest: string
  planRun: string
  by?: string
  at?: string
  reason?: string | null
}
export interface Run {
  id: string
  task: string
  engine: string
  lane: string
  target: string | null
  mode: 'do' | 'plan' | 'recover'
  state: State
  cause: { kind: string; [key: string]: unknown }
  actor: string
  parent: string | null
  schedule: string | null
  slot: Date | null
  slotTo: Date | null
  slots: number
  operation: string
  spec: Spec
  priority: number
  queuedAt: Date
  notBefore: Date
  startBy: Date | null
  validUntil: Date
  startedAt: Date | null
  finishedAt: Date | null
  dispatch: number
  dispatchedAt: Date | null
  waitingFor: string | null
  waitingSince: Date | null
  attempt: number
  attempts: number
  losses: number
  retry: 'restart' | 'resume' | 'never'
  backoffMs: number
  timeoutMs: number
  recovers: boolean
  verdict: { state: Exclude<FinalState, 'succeeded'>; error: Failure | null } | null
  fence: number | null
  worker: string | null
  attemptAt: Date | null
  leaseUntil: Date | null
  guarded: boolean
  cancelAsked: Date | null
  cancelActor: string | null
  stateKept: Record<string, unknown> | null
  progress: Record<string, unknown> | null
  plan: unknown
  policy: Record<string, unknown> | null
  approval: Approval | null
  result: Record<string, unknown> | null
  evidence: Record<string, unknown> | null
  error: Failure | null
}

const camel =
  'id task engine lane target mode state cause actor parent schedule slot slotTo slots operation spec priority queuedAt notBefore startBy validUntil startedAt finishedAt dispatch dispatchedAt waitingFor waitingSince attempt attempts losses retry backoffMs timeoutMs recovers verdict fence worker attemptAt leaseUntil guarded cancelAsked cancelActor stateKept progress plan policy approval result evidence error'.split(
    ' ',
  )
/** The columns of a run under the names that the code uses; `r.` is the table. */
export const columns = camel.map(name => `r.${name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)} as "${name}"`).join(', ')

// ───────────────────────────────────────────────────────────── birth

export interface Birth {
  id: string
  task: string
  engine: string
  lane: string
  target: string | null
  mode: 'do' | 'plan' | 'recover'
  cause: { kind: string; [key: string]: unknown }
  actor: string
  parent?: string
  schedule?: string
  slot?: Date
  operation: string
  spec: Spec
  locks: Lock[]
  priority: number
  notBefore: Date
  startBy?: Date
  validUntil: Date
  attempts: number
  retry: string
  backoffMs: number
  timeoutMs: number
  recovers: boolean
  policy?: Record<string, unknown>
  /** Nobody begins it, and it wants no lock, before another person has approved its plan; `validUntil` is then the end of that time. */
  awaitsApproval?: boolean
}

const insertRun = `
  with born as (
    insert into runs (id, task, engine, lane, target, mode, state, cause, actor, parent, schedule, slot, operation, spec, priority, not_before, start_by,
                      valid_until, attempts, retry, backoff_ms, timeout_ms, recovers, policy, error, finished_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, case when $7 = 'refused' then now() end)
    on conflict do nothing
    returning id, target, state
  ), locks as (
    insert into run_locks (target, name, run, exclusive)
    select born.target, lock.name, born.id, lock.exclusive
    from born, jsonb_to_recordset($26::jsonb) as lock (name text, exclusive boolean)
    where born.target is not null and born.state = 'queued'
  ), told as (
    insert into history (run, event, detail) select id, 'born', jsonb_build_object('state', state, 'cause', $8::jsonb, 'actor', $9::text) from born
  )
  select id, pg_notify('dbops_queued', '') from born`

/** Brings a run into the world, `queued`, `awaiting_approval` or (with an error) `refused`. False when the slot was born before: by another scheduler, or by this one's lost reply. */
export async function bear(db: Queryable, b: Birth, error?: Failure): Promise<boolean> {
  const state = error ? 'refused' : b.awaitsApproval ? 'awaiting_approval' : 'queued'
  const { rows } = await db.query(insertRun, [
    b.id,
    b.task,
    b.engine,
    b.lane,
    b.target,
    b.mode,
    state,
    b.cause,
    b.actor,
    b.parent ?? null,
    b.schedule ?? null,
    b.slot ?? null,
    b.operation,
    b.spec,
    b.priority,
    b.notBefore,
    b.startBy ?? null,
    b.validUntil,
    b.attempts,
    b.retry,
    b.backoffMs,
    b.timeoutMs,
    b.recovers,
    b.policy ?? null,
    error ?? null,
    JSON.stringify(b.locks),
  ])
  return rows.length > 0
}

export interface Skip {
  schedule: string
  target: string | null
  task: string
  engine: string
  lane: string
  operation: string
  reason: string
  from: Date
  to: Date
  slots: number
}

const newestOfSchedule = `
  select id, state, error ->> 'code' as reason from runs
  where schedule = $1 and coalesce(target, '') = coalesce($2, '') and slot is not null
  order by slot desc limit 1`
const extendSkip = `update runs set slot_to = $2, slots = slots + $3, finished_at = now(), error = $4 where id = $1`
const insertSkip = `
  with born as (
    insert into runs (id, task, engine, lane, target, mode, state, cause, actor, schedule, slot, slot_to, slots, operation, valid_until, attempts, retry, backoff_ms, timeout_ms, error, finished_at)
    values ($1, $2, $3, $4, $5, 'do', 'skipped', '{"kind": "schedule"}', 'scheduler', $6, $7, $8, $9, $10, now(), 0, 'never', 0, 0, $11, now())
    on conflict do nothing returning id
  )
  insert into history (run, event, detail) select id, 'skipped', $11::jsonb from born`

/** Records slots that will not be run. Slots that follow one another for one reason are one row. The caller holds the schedule's row. */
export async function skip(db: Queryable, s: Skip, why: Failure): Promise<void> {
  const { rows } = await db.query<{ id: string; state: State; reason: string }>(newestOfSchedule, [s.schedule, s.target])
  const last = rows[0]
  if (last?.state === 'skipped' && last.reason === s.reason) await db.query(extendSkip, [last.id, s.to, s.slots, why])
  else await db.query(insertSkip, [uuidv7(), s.task, s.engine, s.lane, s.target, s.schedule, s.from, s.to, s.slots, s.operation, why])
}

const unfinishedOfSchedule = `
  select id from runs where schedule = $1 and coalesce(target, '') = coalesce($2, '') and state in ('awaiting_approval', 'queued', 'running', 'parked') limit 1`

/** The run of this schedule and target that has not ended yet, if there is one. */
export const unfinishedOf = async (db: Queryable, schedule: string, target: string | null): Promise<string | undefined> =>
  (await db.query<{ id: string }>(unfinishedOfSchedule, [schedule, target])).rows[0]?.id

const unfinishedCount = `
  select count(*)::int as n from (
    select from runs where schedule = $1 and coalesce(target, '') = coalesce($2, '') and state in ('awaiting_approval', 'queued', 'running', 'parked') limit $3) as unfinished`
/** How many runs of this schedule and target have not ended, counted up to `most`. */
export const countUnfinished = async (db: Queryable, schedule: string, target: string | null, most: number): Promise<number> =>
  (await db.query<{ n: number }>(unfinishedCount, [schedule, target, most])).rows[0]!.n

// ───────────────────────────────────────────────────────────── approval

const plannedRuns = `
  select ${columns}, p.id as "planRun", p.state as "planState", p.plan as "found", p.error as "planError"
  from runs r join runs p on p.parent = r.id and p.mode = 'plan'
  where r.state = 'awaiting_approval' and r.approval is null and p.finished_at is not null
  order by r.id limit 100 for update of r skip locked`
/** Runs that wait for an approval and whose plan has ended, well or badly, since nobody looked. */
export const planned = async (db: Queryable) =>
  (await db.query<Run & { planRun: string; planState: FinalState; found: unknown; planError: Failure | null }>(plannedRuns)).rows

const offerPlan = `
  with wanted as (
    update runs set plan = $2, approval = $3 where id = $1 and state = 'awaiting_approval' and approval is null returning id
  )
  insert into history (run, event, detail) select id, 'approval_wanted', $3::jsonb from wanted returning run as id`
/** Shows the plan of a run to its approvers, under a digest. False when the run has ended, or was shown before. */
export const wantApproval = (db: Queryable, run: string, plan: unknown, approval: Pick<Approval, 'digest' | 'planRun'>) =>
  touched(db, offerPlan, [run, JSON.stringify(plan ?? null), approval])

const lockAwaitingRun = `select ${columns} from runs r where id = $1 and state = 'awaiting_approval' for update`
/** The run, nobody else's until the end of the transaction; undefined when it waits for no approval. */
export const lockAwaiting = async (db: Queryable, run: string): Promise<Run | undefined> =>
  (await db.query<Run>(lockAwaitingRun, [run])).rows[0]

const approveRun = `
  with approved as (
    update runs set state = 'queued', approval = approval || jsonb_build_object('by', $3::text, 'at', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'reason', $4::text), valid_until = $5, not_before = $6,
      policy = $7, waiting_for = $8, waiting_since = case when $8::text is null then null else now() end
    where id = $1 and state = 'awaiting_approval' and approval ->> 'digest' = $2 and valid_until > now()
    returning id, target
  ), locks as (
    insert into run_locks (target, name, run, exclusive)
    select approved.target, lock.name, approved.id, lock.exclusive
    from approved, jsonb_to_recordset($9::jsonb) as lock (name text, exclusive boolean)
    where approved.target is not null
  ), told as (
    insert into history (run, event, detail) select id, 'approved', jsonb_build_object('by', $3::text, 'digest', $2::text, 'reason', $4::text) from approved
  )
  select id, pg_notify('dbops_queued', '') from approved`
/** Queues a run whose plan has this digest; from now on it wants its locks. False when it waits for no approval any more, or of another plan. */
export const approve = (
  db: Queryable,
  a: {
    run: string
    digest: string
    by: string
    reason: string | null
    validUntil: Date
    notBefore: Date
    policy: Record<string, unknown>
    waitingFor: string | null
    locks: Lock[]
  },
) => touched(db, approveRun, [a.run, a.digest, a.by, a.reason, a.validUntil, a.notBefore, a.policy, a.waitingFor, JSON.stringify(a.locks)])

// ───────────────────────────────────────────────────────────── dispatch

// In the order of its index, since the planner would rather read the table until it meets one: past all runs that have ended.
const anyWaiting = `select 1 from runs where state = 'queued' and dispatched_at is null order by engine, lane limit 1`
// One dispatcher at a time, whoever it is; nobody waits for the other. Its commit need not be on the disk: what a crash of the ledger forgets of it is done again under
// the same dispatch number, and a claim that followed it has brought it to the disk. Parked runs whose time has come go back into the queue first.
const beginDispatch = `
  with one as (
    select pg_try_advisory_xact_lock(7305219) as mine, clock_timestamp() as now, set_config('synchronous_commit', 'off', true)
  ), woken as (
    update runs set state = 'queued', dispatch = dispatch + 1, dispatched_at = null
    where state = 'parked' and not_before <= now() and cancel_asked is null and (select mine from one)
    returning id, attempt, fence
  ), told as (
    insert into history (run, event, attempt, fence) select id, 'woken', attempt, fence from woken
  )
  select mine, now, (${anyWaiting}) is not null or exists (select 1 from woken) as waiting from one`

const underRecovery = `select 1 from runs c where c.parent = r.id and c.mode = 'recover' and c.state in ('queued', 'running', 'parked')`
// A run whose back-off is not over wants nothing yet.
const wants = `r.state = 'queued' and r.dispatched_at is null and r.not_before <= now()`
const inTurn = `priority desc, r.queued_at, r.id`
// Of \`head\`, runs in the order of their turn: each lock that another holds or is about to take, or that another wants who comes before. One pass over what is
// ordered once: looked for run by run, a thousand that want the same lock would cost a million looks.
const blocked = `
  busy_lock as (
    select l.target, l.name, l.run, l.exclusive, l.held, r.priority, r.queued_at, r.id from run_locks l join runs r on r.id = l.run where l.held
    union all
    select l.target, l.name, l.run, l.exclusive, l.held, r.priority, r.queued_at, r.id from runs r join run_locks l on l.run = r.id
    where r.state = 'queued' and r.dispatched_at is not null and r.not_before <= now() and not l.held
  ), busy as (
    select r.target, r.name, (array_agg(r.run order by r.held desc, r.${inTurn}))[1] as by, bool_or(r.held) as held,
           (array_agg(r.run order by r.held desc, r.${inTurn}) filter (where r.exclusive))[1] as by_exclusive, bool_or(r.held) filter (where r.exclusive) as held_exclusive
    from busy_lock r group by r.target, r.name
  ), wanted as (
    select r.id, l.target, l.name, l.exclusive, l.held, count(*) over ahead as before, count(*) filter (where l.exclusive) over ahead as exclusive_before,
           first_value(r.id) over (partition by l.target, l.name order by r.${inTurn}) as first,
           first_value(r.id) over (partition by l.target, l.name order by not l.exclusive, r.${inTurn}) as first_exclusive
    from head r join run_locks l on l.run = r.id
    window ahead as (partition by l.target, l.name order by r.${inTurn} rows between unbounded preceding and 1 preceding)
  ), blocked as materialized (
    select w.id, w.name, case when w.exclusive then coalesce(b.by, w.first) else coalesce(b.by_exclusive, w.first_exclusive) end as by,
           coalesce(case when w.exclusive then b.held else b.held_exclusive end, false) as held
    from wanted w left join busy b on b.target = w.target and b.name = w.name
    where not w.held and case when w.exclusive then b.by is not null or w.before > 0 else b.by_exclusive is not null or w.exclusive_before > 0 end
  )`
const active = `
  select target, lane, count(*) as runs from runs
  where mode <> 'recover' and (state = 'running' or (state = 'queued' and dispatched_at is not null)) and target is not null
  group by target, lane`
const outstanding = `select engine, lane, count(*) as jobs from runs where state = 'queued' and dispatched_at is not null group by engine, lane`
// How many may begin on each target; a recovery may always.
const places = `
  active as (${active}), places as (
    select t.name as target, t.heavy - coalesce(h.runs, 0) as heavy, t.light - coalesce(l.runs, 0) as light from targets t
    left join active h on h.target = t.name and h.lane = 'heavy'
    left join active l on l.target = t.name and l.lane = 'light'
    where coalesce(h.runs, 0) < t.heavy or coalesce(l.runs, 0) < t.light
       or exists (select from runs r where coalesce(r.target, '') = t.name and r.state = 'queued' and r.dispatched_at is null and r.mode = 'recover')
  )`
const lanes = `(values ('heavy'), ('light')) as l (lane)`
const waitsAt = `coalesce(r.target, '') = p.target and r.lane = l.lane and ${wants}`

// Of each target with a free place the first $2 that wait in each lane, the full one too, since they share its locks; of what has no target, those whose queue has room.
const dispatchable = `
  with ${places}, outstanding as (${outstanding}), head as (
    select r.* from places p cross join ${lanes} cross join lateral (
      select * from runs r where ${waitsAt} order by r.${inTurn} limit $2) r
    where $3::text[] is null or p.target = any ($3)
    union all (
      select r.* from runs r left join outstanding q on q.engine = r.engine and q.lane = r.lane
      where coalesce(r.target, '') = '' and ${wants} and coalesce(q.jobs, 0) < $1 and $3::text[] is null order by r.${inTurn} limit $2)
  ), ${blocked}, free as (
    select r.*, row_number() over (partition by r.target, r.lane, r.mode = 'recover' order by r.${inTurn}) as in_target
    from head r where r.valid_until > now() and not exists (${underRecovery}) and not exists (select from blocked b where b.id = r.id)
  ), placed as (
    select r.*, row_number() over (partition by r.engine, r.lane order by r.${inTurn}) as in_queue
    from free r left join places p on p.target = r.target
    where r.target is null or r.mode = 'recover' or r.in_target <= case r.lane when 'heavy' then p.heavy else p.light end
  )
  select ${columns} from placed r left join outstanding q on q.engine = r.engine and q.lane = r.lane
  where r.in_queue + coalesce(q.jobs, 0) <= $1
  order by r.${inTurn}`
// Where a lane has a free place and more wait than were looked at.
const placesBeyond = `
  with ${places}
  select p.target, l.lane from places p cross join ${lanes}
  where case l.lane when 'heavy' then p.heavy else p.light end > 0 and exists (select from runs r where ${waitsAt} order by r.${inTurn} offset $1 limit 1)`
const markDispatched = `
  with sent as (
    update runs set dispatched_at = now(), offered_at = now(), waiting_for = null, waiting_since = null
    where id = any ($1) and state = 'queued' and dispatched_at is null
    returning id, attempt
  )
  insert into history (run, event, attempt) select id, 'dispatched', attempt from sent`
const explainWaiting = `
  with head as (
    select r.* from runs r where ${wants} order by r.${inTurn} limit 500
  ), ${blocked}, why as (
    select r.id, coalesce(
      (select 'recovery of its lost attempt' where exists (${underRecovery})),
      (select case when b.held then 'lock ' || b.name || ', held by ' else 'lock ' || b.name || ', after ' end || right(b.by::text, 8)
       from blocked b where b.id = r.id order by b.held desc, b.name limit 1),
      (select 'a free place on ' || r.target || ' (' || r.lane || ')' where r.target is not null)) as reason
    from head r where r.valid_until > now()
  )
  update runs u set waiting_for = why.reason, waiting_since = case when u.waiting_for is null then now() else coalesce(u.waiting_since, now()) end
  from why where u.id = why.id and u.waiting_for is distinct from why.reason and why.reason is not null
    and u.state = 'queued' and u.dispatched_at is null -- looked at again in the row as it is once its lock is had: it may have been claimed meanwhile`
const postpone = `
  with later as (
    update runs set not_before = $2, waiting_for = $3, waiting_since = coalesce(waiting_since, now()), policy = $4 where id = $1 and state = 'queued' returning id, attempt
  )
  insert into history (run, event, attempt, detail) select id, 'postponed', attempt, $4::jsonb from later`
const permit = `update runs set policy = $2 where id = $1 and state = 'queued'`

/** How many of those that wait on a target are looked at first. */
const near = 500

export type Verdict =
  /** `until`: when the permission ends, also for what is at work then; it is not begun after `startBy`. */
  | { verdict: 'allow'; rule?: string; startBy?: Date; until?: Date }
  | { verdict: 'wait'; until: Date; reason: string; rule: string }
  | Refusal
export type Refusal = { verdict: 'refuse'; reason: string; rule: string; hint?: string }

/**
 * Chooses what may begin now, in the order of priority and age: at most `perQueue` jobs lie in a queue, no target is above its cap, and a lock has one taker.
 * `judge` is the policy; what it refuses is for the caller to end (`refuseQueued`). Null when another process is dispatching at this moment.
 */
export async function dispatch(
  db: Queryable,
  perQueue: number,
  judge: (run: Run, now: Date) => Verdict,
): Promise<{ sent: Run[]; refused: { run: Run; verdict: Refusal }[] } | null> {
  const { rows: begun } = await db.query<{ mine: boolean; now: Date; waiting: boolean }>(beginDispatch, [])
  const { mine, now, waiting } = begun[0]!
  if (!mine) return null
  if (!waiting) return { sent: [], refused: [] }
  const { rows } = await db.query<Run>(dispatchable, [perQueue, near, null])
  // A free place that none of the first may take, since they wait for one another's locks: then all that wait there are looked at, for what stands behind them.
  const beyond = (await db.query<{ target: string; lane: string }>(placesBeyond, [near])).rows
  const idle = beyond.filter(place => !rows.some(run => run.target === place.target && run.lane === place.lane)).map(({ target }) => target)
  if (idle.length) rows.push(...(await db.query<Run>(dispatchable, [perQueue - rows.length, 1_000_000_000, idle])).rows)
  const sent: Run[] = []
  const refused: { run: Run; verdict: Refusal }[] = []
  for (const run of rows) {
    const verdict: Verdict = run.mode === 'recover' ? { verdict: 'allow' } : judge(run, now)
    if (verdict.verdict === 'allow') {
      // Also in place of an earlier permission: one that has ended would send every attempt back.
      if (verdict.until || (run.policy && (run.policy['verdict'] !== 'allow' || run.policy['until'])))
        await db.query(permit, [run.id, { ...verdict, at: now }])
      sent.push(run)
    } else if (verdict.verdict === 'wait') await db.query(postpone, [run.id, verdict.until, verdict.reason, verdict])
    else refused.push({ run, verdict })
  }
  if (sent.length) await db.query(markDispatched, [sent.map(run => run.id)])
  return { sent, refused }
}

/** Writes down, for the runs that wait, what each waits for. */
export const explainWaits = (db: Queryable) => db.query(explainWaiting, [])

const offerAgain = `
  update runs r set offered_at = now() from (
    select id from runs where state = 'queued' and dispatched_at is not null and offered_at < now() - $1 * interval '1 ms' order by offered_at limit 200 for update skip locked
  ) due where r.id = due.id
  returning ${columns}`

/** Runs whose job was put into Redis more than `age` ms ago and that nobody has claimed: to be put there again under the same id. */
export const unclaimed = async (db: Queryable, age: number): Promise<Run[]> => (await db.query<Run>(offerAgain, [age])).rows

// ───────────────────────────────────────────────────────────── claim

const lockTarget = `select r.target from runs r join targets t on t.name = r.target where r.id = $1 for update of t`
const findClaimable = `
  select ${columns}, r.delivery = $4 as "mine",
    (r.state = 'queued' and r.dispatch = $2 and r.task = any ($3) and now() < r.valid_until and r.not_before <= now() and not exists (${underRecovery})) as "free",
    (select case when b.held then 'lock ' || b.name || ', held by ' else 'lock ' || b.name || ', after ' end || right(b.run::text, 8) from (
       select other.run, other.name, other.held from run_locks mine
       join run_locks other on other.target = mine.target and other.name = mine.name and other.run <> mine.run and (other.exclusive or mine.exclusive)
       where mine.run = r.id and not mine.held and other.held limit 1) b) as "blocked",
    (r.target is not null and r.mode <> 'recover' and
      (select count(*) from runs o where o.target = r.target and o.lane = r.lane and o.state = 'running' and o.mode <> 'recover') >=
      (select case r.lane when 'heavy' then t.heavy else t.light end from targets t where t.name = r.target)) as "full"
  from runs r where r.id = $1 for update`
// What an attempt needs to begin, beside its run; all locks of a run that is taken are held.
const besides = `
  (select coalesce(json_agg(f.fence order by f.fence), '[]') from lost_fences f where f.target = r.target) as "lostFences",
  (select coalesce(json_agg(json_build_object('name', l.name, 'exclusive', l.exclusive) order by l.name), '[]') from run_locks l where l.run = r.id) as "locks",
  (select coalesce(max(n), 0) from run_logs where run = r.id) as "lastLine"`
const takeRun = `
  with taken as (
    update runs r set state = 'running', attempt = attempt + 1, fence = nextval('fences'), worker = $2, delivery = $3, attempt_at = now(), guarded = false,
      started_at = coalesce(started_at, now()), lease_until = now() + $4 * interval '1 ms', waiting_for = null, waiting_since = null, progress = null
    where id = $1 and state = 'queued' returning r.*
  ), locked as (
    update run_locks set held = true where run = $1
  ), told as (
    insert into history (run, event, attempt, fence, worker) select id, 'claimed', attempt, fence, worker from taken
  )
  select ${columns}, ${besides} from taken r`
const renewClaim = `
  with r as (update runs r set lease_until = now() + $2 * interval '1 ms' where id = $1 and state = 'running' returning r.*)
  select ${columns}, ${besides} from r`
const sendBack = `
  with back as (
    update runs set dispatch = dispatch + 1, dispatched_at = null, waiting_for = $2, waiting_since = coalesce(waiting_since, now()) where id = $1 and state = 'queued' returning id, attempt
  )
  insert into history (run, event, attempt, detail) select id, 'sent_back', attempt, jsonb_build_object('waitingFor', $2::text) from back`

export interface Delivery {
  run: string
  dispatch: number
  /** A uuid of this delivery: a repeated call of the same delivery, whose reply was lost, gets the same answer. */
  key: string
  worker: string
  tasks: string[]
  leaseMs: number
}
export interface Besides {
  /** On its target: their sessions are to be ended before anything else. */
  lostFences: number[]
  /** What the run holds. */
  locks: Lock[]
  /** The number of the last line of its log: where a further attempt goes on. */
  lastLine: number
}
export type Claim = ({ kind: 'claimed'; run: Run } & Besides) | { kind: 'stale' } | { kind: 'waits'; for: string }

/**
 * Takes a run in hand: one transaction, serialised per target by the target's row. A job that the ledger does not know in this state is stale and is dropped.
 * Costs an attempt (given back by `park`, `later` and `release`).
 */
export async function claim(db: Queryable, d: Delivery): Promise<Claim> {
  const [, { rows }] = await Promise.all([
    db.query(lockTarget, [d.run]),
    db.query<Run & { mine: boolean; free: boolean; blocked: string | null; full: boolean }>(findClaimable, [
      d.run,
      d.dispatch,
      d.tasks,
      d.key,
    ]),
  ])
  const found = rows[0]
  if (!found) return { kind: 'stale' }
  const claimed = async (sql: string, values: unknown[]): Promise<Claim> => {
    const { lostFences, locks, lastLine, ...run } = (await db.query<Run & Besides>(sql, values)).rows[0]!
    return { kind: 'claimed', run, lostFences, locks, lastLine }
  }
  if (found.state === 'running' && found.mine) return claimed(renewClaim, [d.run, d.leaseMs])
  if (!found.free) return { kind: 'stale' }
  const waits = found.blocked ?? (found.full ? `a free place on ${found.target} (${found.lane})` : undefined)
  if (waits) {
    await db.query(sendBack, [d.run, waits])
    return { kind: 'waits', for: waits }
  }
  return claimed(takeRun, [d.run, d.worker, d.key, d.leaseMs])
}

const returnOffer = `
  with back as (
    update runs set dispatch = dispatch + 1, dispatched_at = null where id = $1 and dispatch = $2 and state = 'queued' and dispatched_at is not null returning id, attempt
  ), told as (
    insert into history (run, event, attempt, detail) select id, 'sent_back', attempt, '{"waitingFor": "another worker"}' from back
  )
  select id, pg_notify('dbops_queued', '') from back`
/** A worker that is stopping took a job out of the queue and will not claim it: offered anew at once, under another number. */
export const sendBackUnclaimed = (db: Queryable, run: string, number: number) => touched(db, returnOffer, [run, number])

/** Strikes fences off the list once no session of theirs is left in the target. */
export const evicted = (db: Queryable, target: string, fences: number[]) =>
  db.query('delete from lost_fences where target = $1 and fence = any ($2)', [target, fences])

// ───────────────────────────────────────────────────────────── while it runs

const renewLeases = `
  update runs set lease_until = now() + $2 * interval '1 ms'
  where fence = any ($1) and state = 'running' and now() < least(attempt_at + timeout_ms * interval '1 ms', valid_until) + 2 * $2 * interval '1 ms'
  returning fence, cancel_asked as "cancelAsked", cancel_actor as "cancelActor"`

export interface Beat {
  fence: number
  cancelAsked: Date | null
  cancelActor: string | null
}
/** Renews the leases of one process, in one statement, and brings what people asked of its runs. A fence that is not in the answer is superseded. Not past the deadline and two leases' grace. */
export const heartbeat = async (db: Queryable, fences: number[], leaseMs: number): Promise<Beat[]> =>
  (await db.query<Beat>(renewLeases, [fences, leaseMs])).rows

const keepState = `update runs set state_kept = $2 where fence = $1 and state = 'running' returning id`
const keepProgress = `update runs set progress = $2 where fence = $1 and state = 'running' returning id`
const keepPlan = `update runs set plan = $2 where fence = $1 and state = 'running' returning id`
const markGuarded = `update runs set guarded = true where fence = $1 and state = 'running' returning id`

const touched = async (db: Queryable, sql: string, values: unknown[]) => (await db.query(sql, values)).rows.length > 0
/** Each returns false when the attempt is superseded. */
export const saveState = (db: Queryable, fence: number, state: unknown) => touched(db, keepState, [fence, state])
export const saveProgress = (db: Queryable, fence: number, progress: unknown) => touched(db, keepProgress, [fence, progress])
export const savePlan = (db: Queryable, fence: number, plan: unknown) => touched(db, keepPlan, [fence, JSON.stringify(plan)])
export const saveGuarded = (db: Queryable, fence: number) => touched(db, markGuarded, [fence])

// ───────────────────────────────────────────────────────────── end

const endRun = `
  with ended as (
    update runs set state = $2, result = $3, evidence = $4, error = $5, finished_at = now(), lease_until = null, waiting_for = null
    where fence = $1 and state = 'running' returning id, attempt, fence, worker
  ), freed as (
    delete from run_locks where run in (select id from ended)
  ), told as (
    insert into history (run, event, attempt, fence, worker, detail) select id, $2, attempt, fence, worker, $5::jsonb from ended
  ), put as (${putEvents('$6', 'exists (select 1 from ended)')}
  )
  select id, (select pg_notify('dbops_queued', '') from (${anyWaiting}) waiting), (select pg_notify('dbops_outbox', '') where exists (select 1 from put)) from ended`
const stateUnderFence = `select state from runs where fence = $1`

export interface End {
  fence: number
  state: FinalState
  result?: Record<string, unknown> | null
  evidence?: Record<string, unknown> | null
  error?: Failure | null
  events: Envelope[]
  artifact?: Sealed
}
/** Ends an attempt's run with its events, in one statement; with an artifact, which is a second, in the caller's transaction. `already`: it had been done, the reply was lost. `superseded`: this attempt has nothing to say any more, nothing is written. */
export async function end(db: Queryable, e: End): Promise<'ended' | 'already' | 'superseded'> {
  const { rows } = await db.query(endRun, [e.fence, e.state, e.result ?? null, e.evidence ?? null, e.error ?? null, rowsOf(e.events)])
  if (!rows.length) {
    const { rows: now } = await db.query<{ state: State }>(stateUnderFence, [e.fence])
    return now[0] && isFinal(now[0].state) ? 'already' : 'superseded'
  }
  if (e.artifact) await recordArtifact(db, e.artifact)
  return 'ended'
}

const backToQueue = `
  with back as (
    update runs set state = 'queued', dispatch = dispatch + 1, dispatched_at = null, lease_until = null, not_before = now() + $2 * interval '1 ms',
      attempt = attempt - case when $3 then 1 else 0 end, waiting_for = $4, waiting_since = case when $4::text is null then null else now() end, error = coalesce($5, error)
    where fence = $1 and state = 'running' returning id, attempt, fence, worker, not_before
  ), unheld as (
    update run_locks set held = false where run in (select id from back where not $7)
  ), told as (
    insert into history (run, event, attempt, fence, worker, detail) select id, $6, attempt, fence, worker,
      nullif(coalesce($5::jsonb, '{}') || case when $2 > 0 then jsonb_build_object('again', not_before) else '{}' end, '{}') from back
  )
  select id, pg_notify('dbops_queued', '') from back`

/**
 * Back to the queue after `after` ms: `retry` counts the attempt; `later`, `released` (orderly stop) and `waits` (another installation holds the lock) give it back.
 * `keepLocks`: the world is not as it was, and nobody else may begin: a recovery, and a run that was parked and could not go on.
 */
export const requeue = (
  db: Queryable,
  r: {
    fence: number
    after: number
    as: 'retry' | 'later' | 'released' | 'waits'
    waitingFor?: string
    error?: Failure
    keepLocks?: boolean
  },
) => touched(db, backToQueue, [r.fence, r.after, r.as !== 'retry', r.waitingFor ?? null, r.error ?? null, r.as, r.keepLocks ?? false])

const parkRun = `
  with parked as (
    update runs set state = 'parked', attempt = attempt - 1, lease_until = null, not_before = $2, state_kept = coalesce($3, state_kept), waiting_for = 'work outside, looked at again at its time', waiting_since = now()
    where fence = $1 and state = 'running' returning id, attempt, fence, worker
  )
  , told as (insert into history (run, event, attempt, fence, worker, detail) select id, 'parked', attempt, fence, worker, jsonb_build_object('until', $2::timestamptz) from parked)
  select id from parked`
/** Gives the worker back until `until`; the locks stay held. */
export const park = (db: Queryable, fence: number, until: Date, state?: unknown) => touched(db, parkRun, [fence, until, state ?? null])

// ───────────────────────────────────────────────────────────── ends of runs that nobody has in hand

const endIdle = `
  with ended as (
    update runs set state = $2, error = $3, finished_at = now(), waiting_for = null, policy = coalesce($4, policy)
    where id = $1 and state in ('awaiting_approval', 'queued', 'parked') returning id, attempt, fence
  ), freed as (
    delete from run_locks where run in (select id from ended)
  ), told as (
    insert into history (run, event, attempt, fence, detail) select id, $2, attempt, fence, $3::jsonb from ended
  )
  select id from ended`
// A statement of its own: the one that ends the run then sees the locks of an approval that was at work on the row until now.
const lockRun = `select from runs where id = $1 for update`
// Held by one that waits: it was parked, or sent back before it could go on. The world is not as it was before it.
const changedTheWorld = `
  select 1 from runs r where id = $1 and mode = 'do' and recovers and state in ('queued', 'parked')
    and exists (select 1 from run_locks l where l.run = r.id and l.held) for update`
const deferEnd = `
  with deferred as (
    update runs r set state = 'queued', dispatch = dispatch + 1, dispatched_at = null, verdict = jsonb_build_object('state', $2::text, 'error', $3::jsonb)
    where id = $1 and state in ('queued', 'parked') and exists (${underRecovery}) returning id, attempt, fence
  ), unheld as (
    update run_locks set held = false where run in (select id from deferred)
  ), told as (
    insert into history (run, event, attempt, fence, detail) select id, 'end_deferred', attempt, fence, jsonb_build_object('state', $2::text) from deferred
  )
  select id from deferred`
/**
 * Ends a run that waits. False when it has begun, or ended, meanwhile. One that left the world changed, or whose lost attempt is being recovered, ends with that recovery,
 * which then tells its events.
 */
export async function endWaiting(
  db: Queryable,
  run: Run,
  state: FinalState,
  error: Failure | null,
  events: Envelope[],
  policy?: unknown,
): Promise<boolean> {
  await db.query(lockRun, [run.id])
  if ((await db.query(changedTheWorld, [run.id])).rows.length) await handToRecovery(db, run.id)
  if (await touched(db, deferEnd, [run.id, state, error])) {
    await db.query(`select pg_notify('dbops_queued', '')`)
    return true
  }
  if (!(await touched(db, endIdle, [run.id, state, error, policy ?? null]))) return false
  await publish(db, events)
  await db.query(`select pg_notify('dbops_queued', '')`)
  return true
}

const runningNow = `select ${columns}, r.lease_until > now() as "isFresh" from runs r where id = $1 and state = 'running' for update`
/** A run that a process has in hand, nobody else's until the end of the transaction, and whether that process was heard of within its lease. */
export async function lockRunning(db: Queryable, id: string): Promise<{ run: Run; isFresh: boolean } | undefined> {
  const { rows } = await db.query<Run & { isFresh: boolean }>(runningNow, [id])
  if (!rows[0]) return undefined
  const { isFresh, ...run } = rows[0]
  return { run, isFresh }
}

const askCancel = `
  with asked as (
    update runs set cancel_asked = coalesce(cancel_asked, now()), cancel_actor = coalesce(cancel_actor, $2) where id = $1 and state = 'running' and mode <> 'recover' returning id, attempt, fence, worker
  )
  , told as (insert into history (run, event, attempt, fence, worker, detail) select id, 'cancel_asked', attempt, fence, worker, jsonb_build_object('actor', $2::text) from asked)
  select id, pg_notify('dbops_cancel', fence::text) from asked`
/** Asks the process that has the run in hand to stop it. False when none has. */
export const requestCancel = (db: Queryable, run: string, actor: string) => touched(db, askCancel, [run, actor])

// ───────────────────────────────────────────────────────────── lost attempts

const passReaper = `
  update reaper set passed_at = clock_timestamp(),
    rest_until = case when clock_timestamp() - passed_at > 2 * $1 * interval '1 ms' then clock_timestamp() + $2 * interval '1 ms' else rest_until end
  returning rest_until > clock_timestamp() as resting`
/** Notes a pass of the reaper. True: a pass came late (the ledger was away, or nobody reaped), so for one lease nobody reaps, that living processes may speak first. */
export const reaperRests = async (db: Queryable, reapMs: number, leaseMs: number): Promise<boolean> =>
  (await db.query<{ resting: boolean }>(passReaper, [reapMs, leaseMs])).rows[0]!.resting

// The pass is looked at once more in the statement that takes away: the ledger may have stood still since it was noted.
const expiredLeases = `
  select ${columns} from runs r
  where r.state = 'running' and r.lease_until < now()
    and exists (select 1 from reaper where rest_until <= now() and passed_at > clock_timestamp() - 2 * $1 * interval '1 ms')
  order by r.lease_until limit 100 for update of r skip locked`
export const expired = async (db: Queryable, reapMs: number): Promise<Run[]> => (await db.query<Run>(expiredLeases, [reapMs])).rows

const overdueRuns = `
  select ${columns} from runs r
  where r.state in ('queued', 'parked', 'awaiting_approval') and ( -- the condition of the index; each of these is one of them
        (r.valid_until < now() and r.mode <> 'recover' and r.verdict is null)
     or (r.state = 'queued' and r.start_by < now() and r.fence is null)
     or (r.state in ('queued', 'parked') and r.cancel_asked is not null and r.mode <> 'recover' and r.verdict is null))
  limit 100 for update skip locked`
/** Runs that wait past their deadline, whose slot nobody began within its catch-up, or whose cancellation was asked just when their attempt came back. */
export const overdue = async (db: Queryable): Promise<Run[]> => (await db.query<Run>(overdueRuns)).rows

const loseFence = `insert into lost_fences (target, fence) values ($1, $2) on conflict do nothing`
const requeueLost = `
  with back as (
    update runs set state = 'queued', dispatch = dispatch + 1, dispatched_at = null, lease_until = null, losses = losses + 1, not_before = now() + $2 * interval '1 ms', error = $3, verdict = $4
    where id = $1 and state = 'running' returning id, mode, attempt, fence, worker
  ), unheld as (
    update run_locks set held = false where run in (select id from back where mode <> 'recover') -- a recovery keeps them until the world is put back
  )
  insert into history (run, event, attempt, fence, worker, detail) select id, 'lost', attempt, fence, worker, $3::jsonb from back`
const endLost = `
  with ended as (
    update runs set state = $2, error = $3, finished_at = now(), lease_until = null, losses = losses + 1 where id = $1 and state = 'running' returning id, attempt, fence, worker
  ), freed as (
    delete from run_locks where run in (select id from ended)
  )
  insert into history (run, event, attempt, fence, worker, detail) select id, 'lost', attempt, fence, worker, $3::jsonb from ended`
const bearRecovery = `
  insert into runs (id, task, engine, lane, target, mode, state, cause, actor, parent, operation, spec, priority, valid_until, attempts, retry, backoff_ms, timeout_ms, state_kept)
  select $2, task, engine, lane, target, 'recover', 'queued', jsonb_build_object('kind', 'recover', 'run', id), 'reaper', id, operation,
         spec || jsonb_build_object('recovers', jsonb_build_object('run', id, 'bornAt', to_char(queued_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))),
         9, timestamptz '9999-01-01', 1000000, 'restart', backoff_ms, timeout_ms, state_kept
  from runs where id = $1`
const handLocks = `insert into run_locks (target, name, run, exclusive, held) select target, name, $2, exclusive, true from run_locks where run = $1 and held`

export type Fate = { to: 'queued'; after: number; error: Failure } | { to: 'cancelled' | 'timed_out' | 'failed'; error: Failure }

/** Whether a lost attempt of this run is recovered before anything else becomes of it. */
export const isRecovered = (run: Pick<Run, 'mode' | 'recovers'>): boolean => run.mode === 'do' && run.recovers

/**
 * Takes a lost attempt's run away from its process: its fence goes to the list of sessions to end, its locks are freed or handed to a recovery, and it is queued again or ended.
 * Where there is a recovery the run waits for it, also when this was its last attempt: the recovery may find that the work was done. Everything in the caller's transaction.
 */
export async function lose(db: Queryable, run: Run, fate: Fate, events: Envelope[]): Promise<void> {
  if (run.target && run.fence !== null) await db.query(loseFence, [run.target, run.fence])
  if (isRecovered(run)) await handToRecovery(db, run.id)
  if (fate.to === 'queued') await db.query(requeueLost, [run.id, fate.after, fate.error, null])
  else if (isRecovered(run)) await db.query(requeueLost, [run.id, 0, fate.error, { state: fate.to, error: fate.error }])
  else await db.query(endLost, [run.id, fate.to, fate.error])
  await publish(db, events)
  await db.query(`select pg_notify('dbops_queued', '')`)
}

async function handToRecovery(db: Queryable, run: string) {
  const id = uuidv7()
  await db.query(bearRecovery, [run, id])
  await db.query(handLocks, [run, id])
  await db.query(`insert into history (run, event, detail) values ($1, 'born', $2)`, [id, { cause: { kind: 'recover', run } }])
}

const succeeded = (ofTarget: string) => `
  select finished_at as at, result from runs
  where operation = $1 and ${ofTarget} and state = 'succeeded' order by finished_at desc limit 1`
const [succeededOn, succeededAnywhere] = [succeeded('target = $2'), succeeded('target is null')]
/** The last run of an operation on a target that succeeded, with what it answered. */
export const lastSucceeded = async (
  db: Queryable,
  { operation, target }: { operation: string; target: string | null },
): Promise<{ at: Date; result: unknown } | undefined> =>
  (
    await (target === null
      ? db.query<{ at: Date; result: unknown }>(succeededAnywhere, [operation])
      : db.query<{ at: Date; result: unknown }>(succeededOn, [operation, target]))
  ).rows[0]

const newestResult = `
  select ${columns} from runs r where task = $1 and state = 'succeeded' and result is not null and ($2::text is null or target = $2)
  order by id desc limit 1`
/** The newest run of a task that succeeded, on one target or on any. */
export const newestSucceeded = async (db: Queryable, task: string, target?: string): Promise<Run | undefined> =>
  (await db.query<Run>(newestResult, [task, target ?? null])).rows[0]

const endParent = `
  with ended as (
    update runs set state = 'succeeded', result = $2, evidence = $3, error = null, finished_at = now(), dispatched_at = null
    where id = $1 and state = 'queued' returning id, attempt, fence
  ), freed as (
    delete from run_locks where run in (select id from ended)
  ), told as (
    insert into history (run, event, attempt, fence, detail) select id, 'adopted', attempt, fence, $2::jsonb from ended
  )
  select id from ended`
const withVerdict = `select ${columns} from runs r where id = $1 and state = 'queued' and verdict is not null for update`
/** The run that this recovery was for, when its end was only waiting for it. */
export const awaitingVerdict = async (db: Queryable, run: string): Promise<Run | undefined> =>
  (await db.query<Run>(withVerdict, [run])).rows[0]

/** A recovery found the sealed work of an attempt whose run still waits: that run has succeeded. False when it had ended before. */
export const succeedByAdoption = (db: Queryable, run: string, result: unknown, evidence: unknown) =>
  touched(db, endParent, [run, result, evidence])

// ───────────────────────────────────────────────────────────── reading

const byTail = `select ${columns} from runs r where right(id::text, 8) = right($1, 8) and id::text like '%' || $1 order by id desc limit 2`

/** The run whose id ends in `id` (8 characters or more, up to the whole): at most two are returned, to tell an ambiguity. */
export const find = async (db: Queryable, id: string): Promise<Run[]> => (id.length < 8 ? [] : (await db.query<Run>(byTail, [id])).rows)

/** The fence that a run has, or had last. */
export const fenceOf = async (db: Queryable, run: string): Promise<number | null> =>
  (await db.query<{ fence: number | null }>('select fence from runs where id = $1', [run])).rows[0]?.fence ?? null

export const heldLocks = async (db: Queryable, run: string): Promise<Lock[]> =>
  (await db.query<Lock>('select name, exclusive from run_locks where run = $1 and held order by name', [run])).rows

export interface Filter {
  states?: string[]
  task?: string
  target?: string
  since?: Date
  limit: number
}
const newest = `
  select ${columns} from runs r
  where ($1::text[] is null or r.state = any ($1)) and ($2::text is null or r.task = $2) and ($3::text is null or r.target = $3)
    and ($4::timestamptz is null or (r.queued_at >= $4 and r.id >= $6::uuid))
  order by r.id desc limit $5`
/** The newest first. */
export const list = async (db: Queryable, f: Filter): Promise<Run[]> => {
  const { states = null, task = null, target = null, since = null, limit } = f
  return (await db.query<Run>(newest, [states, task, target, since, limit, since && idBefore(since)])).rows
}

/** An id smaller than any that was made at `at` or later: the index then ends the search. An hour for clocks that disagree. */
export const idBefore = (at: Date) =>
  Math.max(0, at.getTime() - 3_600_000)
    .toString(16)
    .padStart(12, '0')
    .padEnd(32, '0')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

const lastSlots = `
  select ${columns} from schedules s
  join lateral (
    select * from runs where schedule = s.name and coalesce(target, '') = s.target and slot is not null order by slot desc limit 1
  ) r on true`
/** The run of the newest slot of every schedule and target. */
export const lastOfSchedules = async (db: Queryable): Promise<Run[]> => (await db.query<Run>(lastSlots)).rows

export interface HistoryRow {
  at: Date
  event: string
  attempt: number | null
  fence: number | null
  worker: string | null
  detail: unknown
}
export const historyOf = async (db: Queryable, run: string): Promise<HistoryRow[]> =>
  (await db.query<HistoryRow>('select at, event, attempt, fence, worker, detail from history where run = $1 order by n', [run])).rows

/** What waits and what is in hand, per queue. */
export const queues = async (db: Queryable) =>
  (
    await db.query<{ engine: string; lane: string; waiting: number; running: number; parked: number; oldest: Date | null }>(`
      select engine, lane, count(*) filter (where state = 'queued')::int as waiting, count(*) filter (where state = 'running')::int as running,
             count(*) filter (where state = 'parked')::int as parked, min(queued_at) filter (where state = 'queued') as oldest
      from runs where state in ('queued', 'running', 'parked') group by engine, lane order by engine, lane`)
  ).rows
