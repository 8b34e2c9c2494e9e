// pg.vacuum: takes the dead rows out of tables, and shows that they are gone or who keeps them.

import { Permanent } from '@dbops/contract/failure'
import { table } from '@dbops/contract/names'
import { z } from 'zod'
import { quoteTable, showTable } from '../table-name.ts'
import { defineTask, type Notice } from '../task.ts'
import { type Holder, horizonHolders } from '../vacuum/horizon.ts'
import { watched } from '../vacuum/progress.ts'
import { type Measure, measure, type Survey, survey } from '../vacuum/survey.ts'
import { judge } from '../vacuum/verdict.ts'

const time = z.iso.datetime()
const holder = z.strictObject({
  kind: z.enum(['session', 'standby', 'slot', 'prepared']),
  name: z.string(),
  pid: z.int().nullable(),
  role: z.string().nullable(),
  since: time.nullable(),
  state: z.string().nullable(),
  age: z.int(),
})
const vacuumed = z.strictObject({
  table: z.string(),
  oid: z.int(),
  startedAt: time,
  seconds: z.number(),
  deadBefore: z.number(),
  deadAfter: z.number(),
  bytesBefore: z.number(),
  bytesAfter: z.number(),
  /** Who held the horizon when the vacuum began, the oldest first. */
  holders: z.array(holder),
})

const now = `SELECT clock_timestamp() AS now`

export default defineTask({
  name: 'pg.vacuum',
  summary: 'Remove dead rows from tables, and refresh their statistics',
  params: z.strictObject({
    tables: z.array(table).min(1).describe('partitioned ones are taken apart'),
    analyze: z.boolean().default(true).describe('gather statistics as well'),
  }),
  result: z.strictObject({ tables: z.array(vacuumed), analyzed: z.array(z.string()) }),
  lane: 'heavy',
  // One vacuum per target at a time: lists of tables may overlap, and two vacuums compete for the same disk.
  locks: { shared: ['target'], exclusive: ['vacuum'] },
  timeout: '1h',
  deadline: '2h',
  effect: 'write',
  emits: { succeeded: 'vacuum_completed', failed: 'vacuum_failed' },

  async plan(c) {
    const { tables, parents, foreign } = await survey(c.pg, c.params.tables)
    return {
      tables: tables.map(({ owner, bytes, live, dead, threshold, lastVacuum, ...name }) => ({
        table: showTable(name),
        owner,
        bytes,
        live,
        dead,
        autovacuumAt: Math.round(threshold),
        lastVacuum,
      })),
      analyze: c.params.analyze ? parents.map(showTable) : [],
      notHere: foreign,
    }
  },

  async run(c) {
    const todo = await survey(c.pg, c.params.tables)
    const done: z.input<typeof vacuumed>[] = []
    const skipped: Skipped[] = []
    for (const [index, table] of todo.tables.entries()) {
      c.progress(index, todo.tables.length, 'tables', showTable(table))
      await c.guard()
      const [{ now: startedAt } = { now: new Date() }] = await c.pg.query<{ now: Date }>(now)
      const holders = await horizonHolders(c.pg, table.isCatalog)
      const begun = performance.now()
      const notices = await watched(
        c.pg,
        table.oid,
        (scanned, total, phase) => c.progress(scanned, total, 'blocks', `${showTable(table)}: ${phase}`),
        () => c.pg.execute(`VACUUM ${c.params.analyze ? '(ANALYZE) ' : ''}${quoteTable(table)}`),
      )
      skipped.push(...skippedBy(notices, table))
      const [after] = await measure(c.pg, [table.oid])
      done.push(factsOf(table, after ?? table, startedAt, performance.now() - begun, holders))
    }
    const analyzed = c.params.analyze ? await analyzeParents(c, todo.parents, skipped) : []
    c.progress(todo.tables.length, todo.tables.length, 'tables')
    if (skipped.length) throw notDone(skipped)
    return { tables: done, analyzed }
  },

  async prove(c, facts) {
    const measured = await measure(
      c.pg,
      facts.tables.map(({ oid }) => oid),
    )
    const verdicts = facts.tables.map(fact => {
      const seen = measured.find(({ oid }) => oid === fact.oid)
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
          holders: fact.holders.map(held => ({ ...held, since: held.since ? new Date(held.since) : null })),
        },
        c.pg.name,
      )
    })
    const bad = verdicts.filter(({ ok }) => !ok)
    const told = bad.length ? bad : verdicts
    return {
      ok: verdicts.length > 0 && !bad.length,
      reason:
        told.map(({ reason, hint }: { reason: string; hint?: string }) => (hint ? `${reason}. Hint: ${hint}` : reason)).join('; ') ||
        'no table was vacuumed',
      evidence: { verdicts },
    }
  },
})

const factsOf = (before: Measure, after: Measure, startedAt: Date, ms: number, holders: Holder[]): z.input<typeof vacuumed> => ({
  table: showTable(before),
  oid: before.oid,
  startedAt: startedAt.toISOString(),
  seconds: Math.round(ms / 100) / 10,
  deadBefore: before.dead,
  deadAfter: after.dead,
  bytesBefore: before.bytes,
  bytesAfter: after.bytes,
  holders: holders.slice(0, 5).map(({ since, ...held }) => ({ ...held, since: since?.toISOString() ?? null })),
})

interface Skipped {
  table: string
  owner: string
  message: string
}

// A role that does not own a table gets a warning and the tag of a success (domain.md 5.1).
const skippedBy = (notices: Notice[], table: { schema: string; name: string; owner?: string }): Skipped[] =>
  notices
    .filter(({ code, message }) => code === '55P03' || (code.startsWith('01') && /skipping/i.test(message)))
    .map(({ message }) => ({ table: showTable(table), owner: table.owner ?? 'its owner', message }))

/** VACUUM of a partition says nothing about the whole: the planner's numbers of the partitioned table come from an ANALYZE of its own. */
async function analyzeParents(
  c: { pg: { execute(sql: string): Promise<Notice[]> }; guard(): Promise<void> },
  parents: Survey['parents'],
  skipped: Skipped[],
): Promise<string[]> {
  for (const parent of parents) {
    await c.guard()
    skipped.push(...skippedBy(await c.pg.execute(`ANALYZE ${quoteTable(parent)}`), parent))
  }
  return parents.map(showTable)
}

const notDone = (skipped: Skipped[]) =>
  new Permanent(
    `the server skipped ${[...new Set(skipped.map(({ table }) => table))].join(', ')} and called it a success: ${skipped[0]!.message}`,
    {
      code: 'vacuum_skipped',
      hint: `only the owner may: GRANT ${[...new Set(skipped.map(({ owner }) => owner))].join(', ')} to the role of this target`,
    },
  )
