// pg.tables: dead rows, and when each table was last vacuumed and analyzed; what keeps dead rows from going.
import { formatDuration } from '@dbops/contract/duration'
import type { Look } from '@dbops/contract/task'
import { z } from 'zod'
import { hasLasted, type Since, seenSince } from '../lasting.ts'
import { parseTable, quoteTable, showTable } from '../table-name.ts'
import { type TableNumbers, tableStatistics } from '../tables/statistics.ts'
import { defineProbe } from '../task.ts'
import { describeHolder, type Holder, horizonHolders } from '../vacuum/horizon.ts'

/** The platform's rule HighDeadTuples: so many, for so long (ms). */
const tooManyDead = 100_000
const deadFor = 30 * 60_000
/** A table of so many rows should have statistics, once autovacuum has had its time (ms). */
const analyzedFrom = 1_000
const analyzedWithin = 10 * 60_000
/** How long a prepared transaction or a session may hold the horizon (ms), and how far a slot or a standby may (transactions). */
const holdsFor = { prepared: 10 * 60_000, session: 3_600_000 }
const holdsOver = 1_000_000
const most = 50

const moment = z.iso.datetime().nullable()
const tableNumbers = z.strictObject({
  table: z.string(),
  live: z.int(),
  dead: z.int(),
  changedSinceAnalyze: z.int(),
  /** Null: not since the statistics were reset. By hand or by a task; the two below by autovacuum. */
  lastVacuum: moment,
  lastAnalyze: moment,
  lastAutovacuum: moment,
  lastAutoanalyze: moment,
  autovacuumOff: z.boolean(),
})

export default defineProbe({
  name: 'pg.tables',
  summary: 'Tables: dead rows, last vacuum and analyze, autovacuum switched off, who keeps dead rows from being removed',
  every: '60s',
  timeout: '15s',
  result: z.strictObject({
    /** Those that the configuration names, and the worst beside them. */
    tables: z.array(tableNumbers),
    /** Of the whole database. */
    total: z.strictObject({ tables: z.int(), live: z.int(), dead: z.int() }),
    /** Since when the times and numbers are kept; null: since the cluster was made. */
    statisticsSince: moment,
    horizon: z.array(z.strictObject({ kind: z.string(), who: z.string(), age: z.int(), since: moment })),
    /** Since when each fault that must last has been seen. */
    since: z.record(z.string(), z.iso.datetime()),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ total, tables, horizon }) => ({
    dead_rows: total.dead,
    table_dead_rows: tables.map(({ table, dead }) => ({ labels: { table }, value: dead })),
    table_last_vacuum_timestamp_seconds: newest(tables, 'lastVacuum', 'lastAutovacuum'),
    table_last_analyze_timestamp_seconds: newest(tables, 'lastAnalyze', 'lastAutoanalyze'),
    horizon_age_transactions: horizon[0]?.age ?? 0,
  }),
  compat: ({ tables }) => ({
    pg_stat_user_tables_n_dead_tup: tables.map(({ table, dead }) => {
      const { schema, name } = parseTable(table)!
      return { labels: { schemaname: schema, relname: name }, value: dead }
    }),
  }),
  async look(c) {
    const now = new Date()
    const named = namedTables(c.entries)
    const { tables, totals, absent } = await tableStatistics(c.pg, {
      named: [...named.keys()].map(name => parseTable(name)!),
      most,
      analyzedFrom,
    })
    const holders = await horizonHolders(c.pg, true)
    const [holder] = holders

    const dead = tables.filter(({ dead }) => dead > tooManyDead)
    const unanalyzed = tables.filter(({ live, lastAnalyze, lastAutoanalyze }) => live > analyzedFrom && !lastAnalyze && !lastAutoanalyze)
    const keys = [...dead.map(table => `dead ${showTable(table)}`), ...unanalyzed.map(table => `unanalyzed ${showTable(table)}`)]
    const since = seenSince((c.last?.result as { since?: Since } | undefined)?.since, keys, now)

    for (const table of dead)
      if (hasLasted(since, `dead ${showTable(table)}`, deadFor, now))
        c.find({
          key: `dead ${showTable(table)}`,
          level: 'warning',
          what: `${showTable(table)} has ${count(table.dead)} dead rows beside ${count(table.live)} living ones, and more than ${count(tooManyDead)} for ${formatDuration(now.getTime() - Date.parse(since[`dead ${showTable(table)}`]!))}`,
          hint:
            holder && holder.age > 0
              ? `the horizon may be held: ${describeHolder(holder).who}`
              : 'autovacuum does not keep up here: run pg.vacuum, and schedule it',
          sql: `VACUUM (ANALYZE) ${quoteTable(table)}`,
          evidence: { ...table, holders: holders.slice(0, 3) },
        })
    for (const table of unanalyzed)
      if (hasLasted(since, `unanalyzed ${showTable(table)}`, analyzedWithin, now))
        c.find({
          key: `unanalyzed ${showTable(table)}`,
          level: 'warning',
          what: `${showTable(table)} has ${count(table.live)} rows and was never analyzed: the planner guesses`,
          sql: `ANALYZE ${quoteTable(table)}`,
        })
    for (const table of tables.filter(({ autovacuumOff }) => autovacuumOff))
      c.find({
        key: `autovacuum off ${showTable(table)}`,
        level: 'warning',
        what: `autovacuum is switched off for ${showTable(table)} (${count(table.dead)} dead rows): only pg.vacuum comes there, and the vacuum against wraparound`,
        hint: 'where a schedule vacuums it, acknowledge this; else switch it on again',
        sql: `ALTER TABLE ${quoteTable(table)} RESET (autovacuum_enabled)`,
      })
    for (const table of absent)
      c.find({
        key: `missing ${showTable(table)}`,
        level: 'error',
        what: `${showTable(table)} is not in the database; named by ${named.get(showTable(table))?.join(', ')}`,
        hint: 'it was renamed or dropped: correct the configuration, as the catalogue spells it',
      })
    for (const one of holders.filter(one => holdsLong(one, now))) {
      const { who, hint } = describeHolder(one)
      c.find({
        key: `horizon ${one.kind} ${one.name} ${one.pid ?? ''}`.trim(),
        level: 'warning',
        what: `${who} keeps dead rows from being removed, those of the last ${count(one.age)} transactions`,
        hint,
        evidence: { ...one },
      })
    }
    return {
      tables: tables.map(shown),
      total: { tables: totals.tables, live: totals.live, dead: totals.dead },
      statisticsSince: iso(totals.reset),
      horizon: holders.slice(0, 5).map(one => ({ kind: one.kind, who: describeHolder(one).who, age: one.age, since: iso(one.since) })),
      since,
    }
  },
})

/** Tables of purges and dumps, each with the entries that name it. */
function namedTables({ purges, dumps }: Look<unknown>['entries']): Map<string, string[]> {
  const named = new Map<string, string[]>()
  const add = (table: string, by: string) => {
    const name = showTable(parseTable(table)!)
    named.set(name, [...(named.get(name) ?? []), by])
  }
  for (const [name, { table }] of Object.entries(purges)) add(table, `purges.${name}`)
  for (const [name, { data }] of Object.entries(dumps)) for (const table of data) add(table, `dumps.${name}`)
  return named
}

/** A backup of ours is meant to; a statement that runs long is told by pg.long-statements before. */
function holdsLong({ kind, name, age, since }: Holder, now: Date): boolean {
  if (kind === 'slot' || kind === 'standby') return age > holdsOver
  return since !== null && !name.startsWith('dbops:') && now.getTime() - since.getTime() > holdsFor[kind]
}

function shown({ schema, name, lastVacuum, lastAnalyze, lastAutovacuum, lastAutoanalyze, ...numbers }: TableNumbers) {
  const times = {
    lastVacuum: iso(lastVacuum),
    lastAnalyze: iso(lastAnalyze),
    lastAutovacuum: iso(lastAutovacuum),
    lastAutoanalyze: iso(lastAutoanalyze),
  }
  return { table: showTable({ schema, name }), ...numbers, ...times }
}

const iso = (at: Date | null) => at?.toISOString() ?? null
const count = (n: number) => n.toLocaleString('en-US')

type Moment = 'lastVacuum' | 'lastAutovacuum' | 'lastAnalyze' | 'lastAutoanalyze'
const newest = (tables: ({ table: string } & Record<Moment, string | null>)[], ...of: Moment[]) =>
  tables.map(one => {
    const times = of.map(key => one[key]).filter(at => at !== null)
    return { labels: { table: one.table }, value: times.length ? Math.max(...times.map(at => Date.parse(at))) / 1_000 : null }
  })
