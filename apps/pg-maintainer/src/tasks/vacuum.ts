// pg.vacuum: takes the dead rows out of tables, and shows that they are gone or who keeps them.

import { table } from '@dbops/contract/names'
import type { Fault } from '@dbops/contract/task'
import { z } from 'zod'
import { namingBlocker } from '../locks/watch.ts'
import { lockTimeout } from '../session.ts'
import { quoteTable, showTable } from '../table-name.ts'
import { defineTask, type Postgres, type Statements } from '../task.ts'
import { factsOfHolders, type Holder, holderFact, holdersOfFacts } from '../vacuum/holder.ts'
import { horizonHolders } from '../vacuum/horizon.ts'
import { byUrgency, freezeShare, mustFreeze, needs } from '../vacuum/need.ts'
import { watched } from '../vacuum/progress.ts'
import { isLocked, notDone, type Skipped, skippedBy } from '../vacuum/skipped.ts'
import { type Measure, measure, measureAllNeedy, type Survey, sizeNow, survey } from '../vacuum/survey.ts'
import { judge } from '../vacuum/verdict.ts'

const time = z.iso.datetime()
const vacuumed = z.strictObject({
  table: z.string(),
  oid: z.int(),
  /** Why it needed one; empty where it was named and did not. */
  why: z.array(z.string()),
  startedAt: time,
  seconds: z.number(),
  deadBefore: z.number(),
  deadAfter: z.number(),
  bytesBefore: z.number(),
  bytesAfter: z.number(),
  /** In transactions, of the oldest row that is not frozen. */
  ageBefore: z.number(),
  ageAfter: z.number(),
  /** Whether all of it was gone through, so that its age falls. */
  frozen: z.boolean(),
  /** Who held the horizon when the vacuum began, the oldest first. */
  holders: z.array(holderFact),
})

const now = `SELECT clock_timestamp() AS now`
// All pages are gone through and what is old in them is frozen, but no young row: VACUUM (FREEZE) would write every page. A table with
// limits of its own ($1, $2) gets an age of its own from which on its rows count as old.
const freezeOld = `
  SELECT set_config(name, CASE name WHEN 'vacuum_freeze_min_age' THEN least(reset_val::int8, $1::int8 / 4)::text
                                    WHEN 'vacuum_multixact_freeze_min_age' THEN least(reset_val::int8, $2::int8 / 4)::text
                                    ELSE '0' END, false)
    FROM pg_settings
   WHERE name ~ '^vacuum_(multixact_)?freeze_(min|table)_age$'`
const freezeAsEver = `
  SELECT set_config(name, reset_val, false) FROM pg_settings WHERE name ~ '^vacuum_(multixact_)?freeze_(min|table)_age$' AND setting <> reset_val`

export default defineTask({
  name: 'pg.vacuum',
  summary: 'Remove dead rows from tables, and refresh their statistics',
  params: z.strictObject({
    tables: z
      .array(table)
      .min(1)
      .optional()
      .describe('partitioned ones are taken apart; left out: whatever needs it, by dead rows, new rows and age, the most urgent first'),
    analyze: z.boolean().default(true).describe('gather statistics as well'),
  }),
  result: z.strictObject({
    tables: z.array(vacuumed),
    analyzed: z.array(z.string()),
    /** How many more need it: one run takes the most urgent, at most 500. */
    left: z.int(),
  }),
  lane: 'heavy',
  // One vacuum per target at a time: lists of tables may overlap, and two vacuums compete for the same disk.
  locks: { shared: ['target'], exclusive: ['vacuum'] },
  timeout: '1h',
  deadline: '2h',
  effect: 'write',
  emits: { succeeded: 'vacuum_completed', failed: 'vacuum_failed' },

  async plan(c) {
    const { tables, parents, foreign, outOfReach, left } = await choose(c.pg, c.params.tables)
    return {
      tables: tables.map(one => ({
        table: showTable(one),
        why: needs(one),
        owner: one.owner,
        bytes: one.bytes,
        live: one.live,
        dead: one.dead,
        autovacuumAt: Math.round(one.threshold),
        age: one.age,
        lastVacuum: one.lastVacuum,
      })),
      analyze: c.params.analyze ? parents.map(showTable) : [],
      notHere: foreign,
      notOurs: outOfReach.map(showTable),
      left,
    }
  },

  async run(c) {
    const todo = await choose(c.pg, c.params.tables)
    if (!c.params.tables) await c.found(todo.outOfReach.map(notOurs))
    const done: z.input<typeof vacuumed>[] = []
    const skipped: Skipped[] = []
    const locked: unknown[] = []
    for (const [index, table] of todo.tables.entries()) {
      c.progress(index, todo.tables.length, 'tables', showTable(table))
      await c.guard()
      const [{ now: startedAt } = { now: new Date() }] = await c.pg.query<{ now: Date }>(now)
      const holders = await horizonHolders(c.pg, table.isCatalog)
      const begun = performance.now()
      await (mustFreeze(table) ? c.pg.query(freezeOld, [table.freezeMax, table.mxidFreezeMax]) : c.pg.query(freezeAsEver))
      try {
        const { notices, ...bytes } = await namingBlocker(c.pg, { what: () => showTable(table), lockTimeout }, async () => {
          const bytesBefore = await sizeNow(c.pg, table.oid)
          const notices = await watched(
            c.pg,
            table.oid,
            (scanned, total, phase) => c.progress(scanned, total, 'blocks', `${showTable(table)}: ${phase}`),
            () => c.pg.execute(`VACUUM ${c.params.analyze ? '(ANALYZE) ' : ''}${quoteTable(table)}`),
          )
          return { notices, bytesBefore, bytesAfter: await sizeNow(c.pg, table.oid) }
        })
        skipped.push(...skippedBy(notices, table))
        const [after] = await measure(c.pg, [table.oid])
        done.push({ ...factsOf(table, after ?? table, startedAt, performance.now() - begun, holders), ...bytes })
      } catch (error) {
        // One table that somebody has locked is no reason to leave the others as they are.
        if (!isLocked(error)) throw error
        locked.push(error)
      }
    }
    const analyzed = c.params.analyze ? await analyzeParents(c, todo.parents, skipped) : []
    c.progress(todo.tables.length, todo.tables.length, 'tables')
    if (skipped.length) throw notDone('vacuum', skipped)
    if (locked.length) throw locked[0]
    return { tables: done, analyzed, left: todo.left }
  },

  async prove(c, facts) {
    if (!facts.tables.length) return nothingNeeded(c.pg, c.params.tables)
    const oids = facts.tables.map(({ oid }) => oid)
    const measured = new Map((await measure(c.pg, oids)).map(one => [one.oid, one]))
    const verdicts = facts.tables.map(fact => {
      const seen = measured.get(fact.oid)
      if (!seen) return { ok: false, outcome: 'unmoved', reason: `${fact.table}: it is not there any more` }
      return judge(
        {
          table: fact.table,
          startedAt: new Date(fact.startedAt),
          lastVacuum: seen.lastVacuum,
          before: fact.deadBefore,
          // Of a table that is written meanwhile the lower number is the vacuum's own work.
          after: Math.min(fact.deadAfter, seen.dead),
          threshold: seen.threshold,
          stillOld: fact.frozen && mustFreeze(seen) ? Math.max(seen.age, seen.mxidAge) : null,
          holders: holdersOfFacts(fact.holders),
        },
        c.pg.name,
      )
    })
    const bad = verdicts.filter(({ ok }) => !ok)
    const told = bad.length ? bad : verdicts
    return {
      ok: !bad.length,
      reason: told.map(({ reason, hint }: { reason: string; hint?: string }) => (hint ? `${reason}. Hint: ${hint}` : reason)).join('; '),
      evidence: { verdicts },
    }
  },
})

interface Choice extends Survey {
  /** Tables that need a vacuum which our role may not give them. */
  outOfReach: Measure[]
  /** How many more need it than one run takes. */
  left: number
}

/** What a run reports of each table goes into the ledger and into events. */
const mostTables = 500

/** The named tables, or all that need it: the most urgent first. */
async function choose(pg: Statements, names: readonly string[] | undefined): Promise<Choice> {
  if (names) return { ...(await survey(pg, names)), outOfReach: [], left: 0 }
  const needy = (await measureAllNeedy(pg, freezeShare)).toSorted(byUrgency)
  const [mine, theirs] = [needy.filter(({ ours }) => ours), needy.filter(({ ours }) => !ours)]
  const left = Math.max(0, mine.length - mostTables)
  return { tables: mine.slice(0, mostTables), outOfReach: theirs.slice(0, mostTables), left, parents: [], foreign: [] }
}

const notOurs = (table: Measure): Fault => ({
  key: `table ${showTable(table)}`,
  level: mustFreeze(table) ? 'error' : 'warning',
  what: `${showTable(table)} needs a vacuum and our role may not: ${needs(table).join('; ')}`,
  hint: `make the role of this target a member of the owner: GRANT ${table.owner} TO …`,
  sql: `VACUUM (ANALYZE) ${quoteTable(table)}`,
  evidence: { owner: table.owner, dead: table.dead, autovacuumAt: Math.round(table.threshold), age: table.age },
})

/** An empty answer is believed only when the database gives it a second time. */
async function nothingNeeded(pg: Statements, names: readonly string[] | undefined) {
  if (names) return { ok: false, reason: 'no table was vacuumed', evidence: {} }
  const { tables } = await choose(pg, undefined)
  const left = tables.map(showTable)
  return left.length
    ? { ok: false, reason: `no table was vacuumed, and these need it: ${left.join(', ')}`, evidence: { left } }
    : { ok: true, reason: 'no table needs a vacuum', evidence: { left } }
}

const factsOf = (before: Measure, after: Measure, startedAt: Date, ms: number, holders: Holder[]) => ({
  table: showTable(before),
  oid: before.oid,
  why: needs(before),
  startedAt: startedAt.toISOString(),
  seconds: Math.round(ms / 100) / 10,
  deadBefore: before.dead,
  deadAfter: after.dead,
  ageBefore: before.age,
  ageAfter: after.age,
  frozen: mustFreeze(before),
  holders: factsOfHolders(holders),
})

/** VACUUM of a partition says nothing about the whole: the planner's numbers of the partitioned table come from an ANALYZE of its own. */
async function analyzeParents(
  c: { pg: Postgres; guard(): Promise<void> },
  parents: Survey['parents'],
  skipped: Skipped[],
): Promise<string[]> {
  for (const parent of parents) {
    await c.guard()
    const notices = await namingBlocker(c.pg, { what: () => showTable(parent), lockTimeout }, () =>
      c.pg.execute(`ANALYZE ${quoteTable(parent)}`),
    )
    skipped.push(...skippedBy(notices, parent))
  }
  return parents.map(showTable)
}
