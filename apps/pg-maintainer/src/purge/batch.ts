// One batch of each way: a statement of its own transaction that deletes what it reaches, and says where the next one begins.

import { quoteTable } from '../table-name.ts'
import type { Statements } from '../task.ts'
import { byIndexOnly } from './estimate.ts'
import type { Leaf, Subject } from './subject.ts'

export interface Batch {
  deleted: number
  /** Where the next batch begins: a block, or a value of the column that says the age. Null: this was the last. */
  next: string | null
  /** Rows were locked by others and left for the second pass. */
  skipped: boolean
}

/** A range of blocks, `to` excluded. */
export interface Blocks {
  from: number
  to: number
}

/** ms that a batch waits for a row that somebody else has locked: whoever waits with rows deleted makes others wait. */
const patience = 100
/** ms after which the server ends a batch, which then is tried smaller. */
const longest = 10_000
const both = { lock_timeout: String(patience), statement_timeout: String(longest), idle_in_transaction_session_timeout: '10s' }
/** Settings of the session that deletes: the way is ours to choose, whatever the statistics say. */
export const settingsOf = {
  blocks: { ...both, enable_seqscan: 'off', enable_indexscan: 'off', enable_indexonlyscan: 'off', enable_bitmapscan: 'off' },
  index: { ...both, ...byIndexOnly },
}

const inBlocks = `ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid`
const deleteBlocks = (table: string, qualifies: string) => `
  WITH gone AS (DELETE FROM ONLY ${table} WHERE ${inBlocks} AND ${qualifies} RETURNING 1)
  SELECT count(*)::float8 AS deleted FROM gone`
const deleteBlocksUnlocked = (table: string, qualifies: string) => `
  WITH gone AS (
    DELETE FROM ONLY ${table}
     WHERE ctid = ANY (ARRAY(SELECT ctid FROM ONLY ${table} WHERE ${inBlocks} AND ${qualifies} FOR UPDATE SKIP LOCKED)) AND ${qualifies}
     RETURNING 1)
  SELECT count(*)::float8 AS deleted FROM gone`
// From the last key on and not behind it: rows of one moment may be more than a batch.
const deleteByKey = (table: string, { by, qualifies }: Subject, locking: '' | 'FOR UPDATE SKIP LOCKED') => `
  WITH batch AS MATERIALIZED (
    SELECT ctid AS place, ${by} AS key FROM ONLY ${table} WHERE ${qualifies} AND ${by} >= $1 ORDER BY ${by} LIMIT $2 ${locking}),
  gone AS (DELETE FROM ONLY ${table} WHERE ctid = ANY (ARRAY(SELECT place FROM batch)) AND ${qualifies} RETURNING 1)
  SELECT (SELECT count(*) FROM gone)::float8 AS deleted, count(*)::float8 AS seen, max(key)::text AS last FROM batch`

/** `size` blocks from `place` on, not beyond `end`. */
export async function blocksBatch(
  worker: Statements,
  { qualifies }: Subject,
  leaf: Leaf,
  place: string,
  size: number,
  end: number,
): Promise<Batch> {
  const from = Number(place)
  const to = Math.min(end, from + size)
  const done = await unlessLocked(async skip => {
    const statement = (skip ? deleteBlocksUnlocked : deleteBlocks)(quoteTable(leaf), qualifies)
    const [row] = await worker.query<{ deleted: number }>(statement, [from, to])
    return row!
  })
  return { deleted: done.deleted, next: to < end ? String(to) : null, skipped: done.skipped }
}

/** The `size` oldest rows from the key `place` on. */
export async function keyBatch(worker: Statements, subject: Subject, leaf: Leaf, place: string, size: number): Promise<Batch> {
  const done = await unlessLocked(async skip => {
    const statement = deleteByKey(quoteTable(leaf), subject, skip ? 'FOR UPDATE SKIP LOCKED' : '')
    const [row] = await worker.query<{ deleted: number; seen: number; last: string | null }>(statement, [place, size])
    return row!
  })
  // A trigger may keep rows from going: more of one moment than a batch would then be tried for ever.
  const stands = done.deleted === 0 && done.last === place
  return { deleted: done.deleted, next: done.seen < size || stands ? null : done.last, skipped: done.skipped }
}

// Locking rows first costs as much log as deleting them, and nearly never is anybody there: only where somebody is, it is done again that way.
async function unlessLocked<T>(work: (skip: boolean) => Promise<T>): Promise<T & { skipped: boolean }> {
  try {
    return { ...(await work(false)), skipped: false }
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03') throw error
    return { ...(await work(true)), skipped: true }
  }
}
