// Findings: what is wrong with a target, from its first sighting to its end and back. A source (a probe or a task) always says all that it finds, so what it leaves out is gone.
import type { Severity } from '@dbops/contract/signals'
import type { Fault } from '@dbops/contract/task'
import { v7 as uuidv7 } from 'uuid'
import { recordDeed } from './audit.ts'
import type { Queryable } from './ledger.ts'

export const findingStates = ['open', 'acknowledged', 'back', 'gone'] as const
export type FindingState = (typeof findingStates)[number]

export interface Finding {
  id: string
  target: string
  source: string
  key: string
  level: Severity
  what: string
  hint: string | null
  sql: string | null
  evidence: Record<string, unknown> | null
  tells: Fault['tells'] | null
  state: FindingState
  firstSeen: Date
  /** Of this time. */
  since: Date
  seenAt: Date
  goneAt: Date | null
  /** How often it came. */
  times: number
  acknowledgedBy: string | null
  acknowledgedAt: Date | null
  note: string | null
}

const columns = `id, target, source, key, level, what, hint, sql, evidence, tells, state, first_seen as "firstSeen", since, seen_at as "seenAt", gone_at as "goneAt",
  times, acknowledged_by as "acknowledgedBy", acknowledged_at as "acknowledgedAt", note`

// Those that are gone are many in time, and of those only the ones that are found again matter.
const standing = `select key, state from findings where target = $1 and source = $2 and (state <> 'gone' or key = any ($3)) for update`
// What comes back is no longer what somebody has acknowledged.
const upsert = `
  insert into findings (id, target, source, key, level, what, hint, sql, evidence, tells, state) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open')
  on conflict (target, source, key) do update set level = excluded.level, what = excluded.what, hint = excluded.hint, sql = excluded.sql, evidence = excluded.evidence, tells = excluded.tells,
    seen_at = now(), gone_at = null,
    since = case when findings.state = 'gone' then now() else findings.since end,
    times = findings.times + case when findings.state = 'gone' then 1 else 0 end,
    acknowledged_by = case when findings.state = 'gone' then null else findings.acknowledged_by end,
    acknowledged_at = case when findings.state = 'gone' then null else findings.acknowledged_at end,
    note = case when findings.state = 'gone' then null else findings.note end,
    state = case when findings.state = 'gone' then 'back' else findings.state end
  returning ${columns}`
const end = `update findings set state = 'gone', gone_at = now() where target = $1 and source = $2 and state <> 'gone' and key <> all ($3) returning ${columns}`

/** Writes down all that `source` finds on `target` now. Answers which of it is new (or back) and what is gone since, each told once by the caller, in the same transaction. */
export async function saveFindings(
  db: Queryable,
  { target, source }: { target: string; source: string },
  faults: Fault[],
): Promise<{ opened: Finding[]; gone: Finding[] }> {
  const { rows: before } = await db.query<{ key: string; state: FindingState }>(standing, [target, source, faults.map(({ key }) => key)])
  const known = new Map(before.map(({ key, state }) => [key, state]))
  const opened: Finding[] = []
  for (const fault of new Map(faults.map(one => [one.key, one])).values()) {
    const { key, level, what, hint = null, sql = null, evidence = null, tells = null } = fault
    const { rows } = await db.query<Finding>(upsert, [uuidv7(), target, source, key, level, what, hint, sql, evidence, tells])
    if ((known.get(key) ?? 'gone') === 'gone') opened.push(rows[0]!)
  }
  const standsNo = before.every(({ state }) => state === 'gone')
  const { rows: gone } = standsNo ? { rows: [] } : await db.query<Finding>(end, [target, source, faults.map(({ key }) => key)])
  return { opened, gone }
}

/** The newest first; `state: 'standing'` is everything that is not gone. */
export const listFindings = async (
  db: Queryable,
  { target, state, limit }: { target?: string; state?: FindingState | 'standing'; limit: number },
): Promise<Finding[]> =>
  (
    await db.query<Finding>(
      `select ${columns} from findings where ($1::text is null or target = $1) and ($2::text is null or state = $2 or $2 = 'standing' and state <> 'gone')
       order by since desc limit $3`,
      [target ?? null, state ?? null, limit],
    )
  ).rows

/** What the system finds of itself, not of a target; `overload`, `streams` and `dead-letters` are its sources. */
export const installation = 'installation'
/** What is too much at this moment, as the scheduler last saw it. */
export const overloadsStanding = async (db: Queryable): Promise<Finding[]> =>
  (await listFindings(db, { target: installation, state: 'standing', limit: 1_000 })).filter(({ source }) => source === 'overload')

/** By id or its last 8 characters; more than one when that is not unique. */
export const findFinding = async (db: Queryable, tail: string): Promise<Finding[]> =>
  tail.length < 8
    ? []
    : (
        await db.query<Finding>(
          `select ${columns} from findings where right(id::text, 8) = right($1, 8) and id::text like '%' || $1 limit 2`,
          [tail],
        )
      ).rows

/** A person knows of it: it stands, and nobody need look again until it comes back. False when it is gone. */
export async function acknowledge(db: Queryable, id: string, actor: string, note: string | null): Promise<boolean> {
  const { rows } = await db.query(
    `update findings set state = 'acknowledged', acknowledged_by = $2, acknowledged_at = now(), note = $3 where id = $1 and state <> 'gone' returning id`,
    [id, actor, note],
  )
  if (rows.length) await recordDeed(db, { actor, action: 'acknowledge', subject: `finding ${id}`, detail: note ? { note } : {} })
  return rows.length > 0
}

/** How many stand that nobody has acknowledged. */
export const countOpen = async (db: Queryable): Promise<number> =>
  (await db.query<{ n: number }>(`select count(*)::int as n from findings where state in ('open', 'back')`)).rows[0]!.n

const orphaned = `
  update findings set state = 'gone', gone_at = now() from targets
   where targets.name = findings.target and not targets.enabled and state <> 'gone'
  returning ${columns}, targets.engine`

/** Ends what stands on targets that the configuration has no more: nobody looks there again. Answers what it ended, to be told in the same transaction. */
export const endOrphans = async (db: Queryable): Promise<(Finding & { engine: string })[]> =>
  (await db.query<Finding & { engine: string }>(orphaned)).rows

/** Forgets what has been gone since before `before`, at most 5,000 at a time; answers how many. */
export const trimFindings = async (db: Queryable, before: Date): Promise<number> =>
  (
    await db.query(
      `delete from findings where ctid = any (array(select ctid from findings where state = 'gone' and gone_at < $1 limit 5000))`,
      [before],
    )
  ).rowCount ?? 0
