// What is past the cut-off after a pass: counted with the policy's own condition, told apart by whether somebody holds it, and who that is.
import { quoteTable } from '../table-name.ts'
import type { Statements } from '../task.ts'
import type { Blocks } from './batch.ts'
import type { Leaf, Subject } from './subject.ts'

export interface Remains {
  left: number
  /** Where they lie. Null: nowhere. */
  blocks: Blocks | null
  /** The oldest row that the policy is about and that stays. */
  oldest: Date | null
}

export interface LockHolder {
  pid: number | null
  /** Its application name, or the prepared transaction's. */
  name: string
  role: string | null
  since: Date | null
  state: string | null
}

const inBlocks = `ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid`
const remainsIn = ({ qualifies }: Subject, table: string) => `
  SELECT count(*)::float8 AS left, min(ctid)::text AS first, max(ctid)::text AS last FROM ONLY ${table} WHERE ${inBlocks} AND ${qualifies}`
// The rows of other states, as a rule the most, are passed by before anything is counted.
const remainsAndOldestIn = ({ by, aged, where }: Subject, table: string) => `
  SELECT count(*) FILTER (WHERE ${aged})::float8 AS left,
         min(ctid) FILTER (WHERE ${aged})::text AS first, max(ctid) FILTER (WHERE ${aged})::text AS last,
         min(${by}) FILTER (WHERE NOT (${aged})) AS oldest
    FROM ONLY ${table}
   WHERE ${inBlocks}${where === undefined ? '' : ` AND (${where})`}`
const remainsByIndex = ({ qualifies }: Subject, table: string) => `
  SELECT count(*)::float8 AS left, min(ctid)::text AS first, max(ctid)::text AS last FROM ONLY ${table} WHERE ${qualifies}`
const oldestByIndex = ({ by, aged, where }: Subject, table: string) => `
  SELECT ${by} AS oldest FROM ONLY ${table}
   WHERE NOT (${aged})${where === undefined ? '' : ` AND (${where})`} ORDER BY ${by} LIMIT 1`

/** Of a range of blocks; the oldest row that stays is looked for `withOldest` only. */
export async function remainsInBlocks(
  worker: Statements,
  subject: Subject,
  leaf: Leaf,
  { from, to }: Blocks,
  withOldest: boolean,
): Promise<Remains> {
  const statement = (withOldest ? remainsAndOldestIn : remainsIn)(subject, quoteTable(leaf))
  const [row] = await worker.query<Counted & { oldest?: Date | null }>(statement, [from, to])
  return { left: row!.left, blocks: blocksOf(row!), oldest: asDate(row!.oldest ?? null) }
}

/** Of the whole table, by the index of the policy. The oldest one is null where it cannot be found in a moment. */
export async function remainsByKey(worker: Statements, subject: Subject, leaf: Leaf, withOldest: boolean): Promise<Remains> {
  const [row] = await worker.query<Counted>(remainsByIndex(subject, quoteTable(leaf)))
  return { left: row!.left, blocks: blocksOf(row!), oldest: withOldest ? await oldestByKey(worker, subject, leaf) : null }
}

async function oldestByKey(worker: Statements, subject: Subject, leaf: Leaf): Promise<Date | null> {
  try {
    const [first] = await worker.query<{ oldest: Date | null }>(oldestByIndex(subject, quoteTable(leaf)))
    return asDate(first?.oldest ?? null)
  } catch (error) {
    if ((error as { code?: string }).code !== '57014') throw error
    return null
  }
}

interface Counted {
  left: number
  first: string | null
  last: string | null
}
const blocksOf = ({ first, last }: Counted): Blocks | null =>
  first === null || last === null ? null : { from: blockOf(first), to: blockOf(last) + 1 }
const blockOf = (tid: string) => Number(/^\((\d+),/.exec(tid)![1])
// Infinity is a number to the driver.
const asDate = (value: Date | number | null) => (value instanceof Date ? value : null)

export const together = (a: Remains, b: Remains): Remains => ({
  left: a.left + b.left,
  blocks:
    a.blocks && b.blocks
      ? { from: Math.min(a.blocks.from, b.blocks.from), to: Math.max(a.blocks.to, b.blocks.to) }
      : (a.blocks ?? b.blocks),
  oldest: a.oldest && b.oldest ? (a.oldest < b.oldest ? a.oldest : b.oldest) : (a.oldest ?? b.oldest),
})
export const nothing: Remains = { left: 0, blocks: null, oldest: null }

/** So many rows that are left are tried at most. */
const tried = 10_000
const notLocked = ({ qualifies }: Subject, table: string) => `
  SELECT count(*)::float8 AS free FROM (
    SELECT FROM ONLY ${table}
     WHERE ${inBlocks} AND ${qualifies}
     LIMIT ${tried} FOR UPDATE SKIP LOCKED) AS free`
const rollback = `ROLLBACK`
const begin = `BEGIN`
// Whoever holds a row has its table in use; which of them holds which row, the server does not say.
const usersOf = `
  SELECT DISTINCT l.pid, coalesce(nullif(a.application_name, ''), 'prepared transaction ' || p.gid, a.backend_type) AS name,
         coalesce(a.usename, p.owner) AS role, coalesce(a.xact_start, p.prepared) AS since, coalesce(a.state, 'prepared') AS state
    FROM pg_locks l
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    LEFT JOIN pg_prepared_xacts p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
   WHERE locktype = 'relation' AND relation = $1 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
     AND granted AND mode IN ('RowShareLock', 'RowExclusiveLock') AND l.pid IS DISTINCT FROM pg_backend_pid()
   ORDER BY since
   LIMIT 5`

/** How many of the rows that are left somebody else holds, and who may. */
export async function lockedIn(
  worker: Statements,
  subject: Subject,
  leaf: Leaf,
  { left, blocks }: Remains,
): Promise<{ locked: number; holders: LockHolder[] }> {
  if (!blocks) return { locked: 0, holders: [] }
  await worker.execute(begin)
  try {
    const [row] = await worker.query<{ free: number }>(notLocked(subject, quoteTable(leaf)), [blocks.from, blocks.to])
    const locked = Math.max(0, Math.min(left, tried) - row!.free)
    return { locked, holders: locked ? await worker.query<LockHolder>(usersOf, [leaf.oid]) : [] }
  } finally {
    await worker.execute(rollback)
  }
}
