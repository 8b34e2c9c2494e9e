// Schedules as the ledger knows them, reconciled from the configuration: unchanged means no write, removed means disabled, never deleted.
import { Refused } from '@dbops/contract/failure'
import type { Queryable } from './ledger.ts'

/** One schedule on one target, with all that the birth of its runs needs. Milliseconds throughout. */
export interface ScheduleSpec {
  /** When it is due; or `event` is there in its place. */
  cron?: string
  /** For which event it runs, and how long after the first of them. */
  event?: string
  debounceMs?: number
  zone: string
  engine: string
  lane: string
  params: Record<string, unknown>
  entries: Record<string, unknown>
  operation: string
  locks: { name: string; exclusive: boolean }[]
  effect: string
  misfire: 'latest' | 'all' | 'skip'
  catchUpMs: number
  overlap: 'skip' | 'queue'
  window?: { name: string; atEnd: 'finish' | 'stop' }
  jitterMs: number
  priority: number
  timeoutMs: number
  deadlineMs: number
  attempts: number
  backoffMs: number
  retry: string
  recovers: boolean
}
export interface Schedule {
  name: string
  target: string | null
  task: string
  spec: ScheduleSpec
  specHash: string
}
export interface ScheduleRow extends Schedule {
  enabled: boolean
  dueAt: Date | null
}

/** The columns of a schedule under the names that the code uses; `of` is its table with a dot. */
export const scheduleColumns = (of = '') =>
  `${of}name, nullif(${of}target, '') as target, ${of}task, ${of}spec, ${of}spec_hash as "specHash", ${of}enabled, ${of}due_at as "dueAt"`
const columns = scheduleColumns()

export const listSchedules = async (db: Queryable): Promise<ScheduleRow[]> =>
  (await db.query<ScheduleRow>(`select ${columns} from schedules order by name, target`)).rows

export interface LastSuccess {
  name: string
  target: string | null
  task: string
  operation: string
  cron: string
  zone: string
  deadlineMs: number
  plannedAt: Date
  /** Of the operation on the target, whoever started it; null: never. */
  succeededAt: Date | null
}
const newest = `select finished_at from runs where operation = s.spec ->> 'operation' and state = 'succeeded' and mode = 'do'`
/** Of every schedule that has a rhythm, when what it does last succeeded. */
export const lastSuccesses = async (db: Queryable): Promise<LastSuccess[]> =>
  (
    await db.query<LastSuccess>(
      `select name, nullif(target, '') as target, task, spec ->> 'operation' as operation, spec ->> 'cron' as cron, spec ->> 'zone' as zone, (spec ->> 'deadlineMs')::float8 as "deadlineMs",
              planned_at as "plannedAt",
              case when target = '' then (${newest} and runs.target is null order by finished_at desc limit 1)
                   else (${newest} and runs.target = s.target order by finished_at desc limit 1) end as "succeededAt"
         from schedules s where enabled and spec ->> 'cron' is not null order by name, target`,
    )
  ).rows

/** Whether the next slot of any schedule has come. */
export const anyDue = async (db: Queryable, now: Date): Promise<boolean> =>
  (await db.query('select 1 from schedules where enabled and due_at <= $1 limit 1', [now])).rows.length > 0

/** The schedules whose next slot has come, locked for the caller's transaction; those that another scheduler has in hand are passed over. */
export const dueSchedules = async (db: Queryable, now: Date, limit: number): Promise<ScheduleRow[]> =>
  (
    await db.query<ScheduleRow>(
      `select ${columns} from schedules where enabled and due_at <= $1 order by due_at limit $2 for update skip locked`,
      [now, limit],
    )
  ).rows

export const setDue = (db: Queryable, s: { name: string; target: string | null }, dueAt: Date | null) =>
  db.query(`update schedules set due_at = $3 where name = $1 and target = coalesce($2, '')`, [s.name, s.target, dueAt])

const upsert = `
  insert into schedules (name, target, task, spec, spec_hash, due_at) values ($1, coalesce($2, ''), $3, $4, $5, $6)
  on conflict (name, target) do update set task = excluded.task, spec = excluded.spec, spec_hash = excluded.spec_hash, enabled = true, due_at = excluded.due_at`
const disable = `update schedules set enabled = false where name = $1 and target = coalesce($2, '')`
// What came for a schedule that does not stand any more, or runs for another event now, makes no run when it is enabled again.
const forgetTriggers = `
  delete from triggers t where not exists (select 1 from schedules s where s.name = t.schedule and s.target = t.target and s.enabled and s.spec ->> 'event' = t.event)`

/** Whether so many schedules that would be disabled look like the wrong file or the wrong ledger: more than one, and more than half of those that stand. */
export const isMassDisable = (gone: number, standing: number): boolean => gone > 1 && gone * 2 > standing

export interface Reconciled {
  added: string[]
  changed: string[]
  disabled: string[]
}
/**
 * Makes the ledger's schedules those of the configuration, in the caller's transaction, which has locked them and materialised the slots that were due under the old specs.
 * Refuses to disable more than half of them without `allowMass`.
 */
export async function reconcile(
  db: Queryable,
  wanted: Schedule[],
  nextDue: (s: Schedule) => Date | null,
  allowMass = false,
): Promise<Reconciled> {
  const { rows } = await db.query<ScheduleRow>(`select ${columns} from schedules`)
  const key = (s: { name: string; target: string | null }) => `${s.name} ${s.target ?? ''}`
  const known = new Map(rows.map(row => [key(row), row]))
  const kept = new Set(wanted.map(key))
  const gone = rows.filter(row => row.enabled && !kept.has(key(row)))
  const standing = rows.filter(row => row.enabled).length
  if (isMassDisable(gone.length, standing) && !allowMass)
    throw new Refused(`the configuration would disable ${gone.length} of ${standing} schedules`, {
      code: 'mass_disable',
      hint: 'is it the right file, and the right ledger? If that is meant, start the scheduler once with --allow-mass-disable: ./dbops up --allow-mass-disable',
    })
  const result: Reconciled = { added: [], changed: [], disabled: gone.map(key) }
  for (const row of gone) await db.query(disable, [row.name, row.target])
  for (const schedule of wanted) {
    const old = known.get(key(schedule))
    if (old?.enabled && old.specHash === schedule.specHash && old.task === schedule.task) continue
    result[old ? 'changed' : 'added'].push(key(schedule))
    await db.query(upsert, [schedule.name, schedule.target, schedule.task, schedule.spec, schedule.specHash, nextDue(schedule)])
  }
  if (gone.length || result.changed.length) await db.query(forgetTriggers)
  return result
}

export interface Generation {
  generation: number
  newestHash: string | null
}
/** The generation of a configuration's hash (its newest one), and the hash of the newest generation of all. */
export async function generations(
  db: Queryable,
  hash: string,
): Promise<{ mine: number | null; newest: { generation: number; hash: string } | null }> {
  const { rows } = await db.query<{ generation: number }>(
    'select generation from configs where hash = $1 order by generation desc limit 1',
    [hash],
  )
  const { rows: newest } = await db.query<{ generation: number; hash: string }>(
    'select generation, hash from configs order by generation desc limit 1',
  )
  return { mine: rows[0]?.generation ?? null, newest: newest[0] ?? null }
}
export const newGeneration = (db: Queryable, hash: string) => db.query('insert into configs (hash) values ($1)', [hash])

const reconcileLock = 'select pg_advisory_xact_lock(7305220)'
export const lockReconciling = (db: Queryable) => db.query(reconcileLock)

/** Waits for the turns that others have with any schedule; until the end of the transaction nobody has another. */
export const lockSchedules = (db: Queryable) => db.query('select from schedules order by name, target for update')

const upsertTarget = `
  insert into targets (name, engine, heavy, light, labels) values ($1, $2, $3, $4, $5)
  on conflict (name) do update set engine = excluded.engine, heavy = excluded.heavy, light = excluded.light, labels = excluded.labels, enabled = true
  where (targets.engine, targets.heavy, targets.light, targets.labels, targets.enabled) is distinct from (excluded.engine, excluded.heavy, excluded.light, excluded.labels, true)`
export interface TargetRow {
  name: string
  engine: string
  heavy: number
  light: number
  labels: Record<string, string>
}
export async function saveTargets(db: Queryable, targets: TargetRow[]): Promise<void> {
  for (const t of targets) await db.query(upsertTarget, [t.name, t.engine, t.heavy, t.light, t.labels])
  await db.query('update targets set enabled = false where enabled and name <> all ($1)', [targets.map(t => t.name)])
}
export const listTargets = async (db: Queryable): Promise<TargetRow[]> =>
  (await db.query<TargetRow>('select name, engine, heavy, light, labels from targets where enabled order by name')).rows
