// pg.analyze: renews the statistics that the planner goes by, and shows that the server took them.
import { table } from '@dbops/contract/names'
import type { Fault } from '@dbops/contract/task'
import { z } from 'zod'
import { byOid, namedTables, needyTables, type Statistics, whyAnalyze } from '../analyze/survey.ts'
import { namingBlocker } from '../locks/watch.ts'
import { lockTimeout } from '../session.ts'
import { quoteTable, showTable } from '../table-name.ts'
import { defineTask, type Statements } from '../task.ts'
import { isLocked, notDone, type Skipped, skippedBy } from '../vacuum/skipped.ts'

const analyzed = z.strictObject({
  table: z.string(),
  oid: z.int(),
  /** Why it needed it; null where it was named and did not. */
  why: z.string().nullable(),
  startedAt: z.iso.datetime(),
  seconds: z.number(),
  changedBefore: z.number(),
  rowsBefore: z.number(),
  rowsAfter: z.number(),
})

const now = `SELECT clock_timestamp() AS now`

export default defineTask({
  name: 'pg.analyze',
  summary: 'Renew the statistics of tables',
  params: z.strictObject({
    tables: z
      .array(table)
      .min(1)
      .optional()
      .describe('of a partitioned one its partitions as well; left out: whatever needs it, by changed rows, the stalest first'),
  }),
  result: z.strictObject({
    tables: z.array(analyzed),
    /** How many more need it: one run takes the stalest, at most 500. */
    left: z.int(),
  }),
  lane: 'heavy',
  // ANALYZE and VACUUM of one table shut each other out, so they share a lock.
  locks: { shared: ['target'], exclusive: ['vacuum'] },
  timeout: '30m',
  deadline: '2h',
  effect: 'write',
  emits: { succeeded: 'analyze_completed', failed: 'analyze_failed' },

  async plan(c) {
    const { tables, outOfReach, left } = await choose(c.pg, c.params.tables)
    return {
      tables: tables.map(one => ({
        table: showTable(one),
        why: whyAnalyze(one),
        owner: one.owner,
        rows: one.rows,
        changed: one.changed,
        autovacuumAt: Math.round(one.threshold),
        lastAnalyze: one.lastAnalyze,
      })),
      notOurs: outOfReach.map(showTable),
      left,
    }
  },

  async run(c) {
    const todo = await choose(c.pg, c.params.tables)
    if (!c.params.tables) await c.found(todo.outOfReach.map(notOurs))
    const done: z.input<typeof analyzed>[] = []
    const skipped: Skipped[] = []
    const locked: unknown[] = []
    for (const [index, table] of todo.tables.entries()) {
      c.progress(index, todo.tables.length, 'tables', showTable(table))
      await c.guard()
      const [{ now: startedAt } = { now: new Date() }] = await c.pg.query<{ now: Date }>(now)
      const begun = performance.now()
      try {
        const execute = () => c.pg.execute(`ANALYZE ${quoteTable(table)}`)
        skipped.push(...skippedBy(await namingBlocker(c.pg, { what: () => showTable(table), lockTimeout }, execute), table))
      } catch (error) {
        if (!isLocked(error)) throw error
        locked.push(error)
        continue
      }
      done.push(factsOf(table, startedAt, performance.now() - begun))
    }
    c.progress(todo.tables.length, todo.tables.length, 'tables')
    if (skipped.length) throw notDone('analyze', skipped)
    if (locked.length) throw locked[0]
    const after = await byOid(
      c.pg,
      done.map(({ oid }) => oid),
    )
    return { tables: done.map(fact => ({ ...fact, rowsAfter: after.get(fact.oid)?.rows ?? 0 })), left: todo.left }
  },

  async prove(c, { tables }) {
    if (!tables.length) return nothingNeeded(c.pg, c.params.tables)
    const seen = await byOid(
      c.pg,
      tables.map(({ oid }) => oid),
    )
    const times = tables.map(({ table, oid, startedAt }) => ({
      table,
      startedAt,
      lastAnalyze: seen.get(oid)?.lastByHand?.toISOString() ?? null,
    }))
    const unmoved = times.filter(({ startedAt, lastAnalyze }) => !lastAnalyze || Date.parse(lastAnalyze) < Date.parse(startedAt))
    return {
      ok: !unmoved.length,
      reason: unmoved.length
        ? unmoved.map(({ table, lastAnalyze }) => `${table}: last_analyze did not move (${lastAnalyze ?? 'never'})`).join('; ')
        : `last_analyze moved on ${tables.length} of ${tables.length} tables`,
      evidence: { times },
    }
  },
})

interface Choice {
  tables: Statistics[]
  /** Tables that need it and that our role may not analyze. */
  outOfReach: Statistics[]
  /** How many more need it than one run takes. */
  left: number
}

/** What a run reports of each table goes into the ledger and into events. */
const mostTables = 500

async function choose(pg: Statements, names: readonly string[] | undefined): Promise<Choice> {
  if (names) return { tables: await namedTables(pg, names), outOfReach: [], left: 0 }
  const needy = await needyTables(pg)
  const [mine, theirs] = [needy.filter(({ ours }) => ours), needy.filter(({ ours }) => !ours)]
  return { tables: mine.slice(0, mostTables), outOfReach: theirs.slice(0, mostTables), left: Math.max(0, mine.length - mostTables) }
}

const notOurs = (table: Statistics): Fault => ({
  key: `table ${showTable(table)}`,
  level: 'warning',
  what: `${showTable(table)} needs new statistics and our role may not renew them: ${whyAnalyze(table)}`,
  hint: `make the role of this target a member of the owner: GRANT ${table.owner} TO …`,
  sql: `ANALYZE ${quoteTable(table)}`,
  evidence: { owner: table.owner, changed: table.changed, autovacuumAt: Math.round(table.threshold) },
})

/** An empty answer is believed only when the database gives it a second time. */
async function nothingNeeded(pg: Statements, names: readonly string[] | undefined) {
  if (names) return { ok: false, reason: 'no table was analyzed', evidence: {} }
  const left = (await choose(pg, undefined)).tables.map(showTable)
  return left.length
    ? { ok: false, reason: `no table was analyzed, and these need it: ${left.join(', ')}`, evidence: { left } }
    : { ok: true, reason: 'no table needs new statistics', evidence: { left } }
}

const factsOf = (table: Statistics, startedAt: Date, ms: number): z.input<typeof analyzed> => ({
  table: showTable(table),
  oid: table.oid,
  why: whyAnalyze(table),
  startedAt: startedAt.toISOString(),
  seconds: Math.round(ms / 100) / 10,
  changedBefore: table.changed,
  rowsBefore: table.rows,
  rowsAfter: 0,
})
