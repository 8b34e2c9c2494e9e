// pg.tables: dead rows, and when each table was last vacuumed and analyzed; what keeps dead rows from going.
import type { Look } from '@dbops/contract/task'
import { z } from 'zod'
import { type Since, seenSince } from '../lasting.ts'
import { parseTable, showTable } from '../table-name.ts'
import { absentFault, analyzedFrom, holderFault, lastingKeys, tableFaults } from '../tables/faults.ts'
import { type TableNumbers, tableStatistics } from '../tables/statistics.ts'
import { defineProbe } from '../task.ts'
import { describeHolder } from '../vacuum/holder.ts'
import { horizonHolders } from '../vacuum/horizon.ts'

/** So many are shown beside those that the configuration names. */
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
    const holders = await horizonHolders(c.pg, false)
    // A logical slot keeps rows of catalogs only, but write-ahead log too: it is found, and no reason for the dead rows of a table.
    const withLogicalSlots = await horizonHolders(c.pg, true)
    const since = seenSince((c.last?.result as { since?: Since } | undefined)?.since, tables.flatMap(lastingKeys), now)
    const faults = [
      ...tables.flatMap(table => [...tableFaults(table, { since, now, holders })]),
      ...absent.map(table => absentFault(table, named.get(showTable(table)) ?? [])),
      ...withLogicalSlots.map(holder => holderFault(holder, now)).filter(fault => fault !== null),
    ]
    for (const fault of faults) c.find(fault)
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
  for (const [name, { data }] of Object.entries(dumps)) for (const table of data === 'all' ? [] : data) add(table, `dumps.${name}`)
  return named
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

type Moment = 'lastVacuum' | 'lastAutovacuum' | 'lastAnalyze' | 'lastAutoanalyze'
const newest = (tables: ({ table: string } & Record<Moment, string | null>)[], ...of: Moment[]) =>
  tables.map(one => {
    const times = of.map(key => one[key]).filter(at => at !== null)
    return { labels: { table: one.table }, value: times.length ? Math.max(...times.map(at => Date.parse(at))) / 1_000 : null }
  })
