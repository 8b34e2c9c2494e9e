// The rows of the copy's tables and how young they are, read once for all checks that want to know.
import { type Measure, measure } from '../dump/measure.ts'
import { showTable } from '../table-name.ts'
import type { Copy } from './check.ts'

const read = new WeakMap<Copy, Promise<Map<string, Measure>>>()

const presentTables = `
  SELECT nspname AS schema, relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind = 'r'`

/** By name, of the tables whose rows are in the dump. One that is not in the copy is not in it. */
export function measuresOf(copy: Copy): Promise<Map<string, Measure>> {
  const known = read.get(copy)
  if (known) return known
  const reading = readAll(copy)
  read.set(copy, reading)
  return reading
}

async function readAll({ pg, manifest }: Copy): Promise<Map<string, Measure>> {
  const present = new Set((await pg.query<{ schema: string; name: string }>(presentTables)).map(showTable))
  const measures = new Map<string, Measure>()
  for (const { table, newest } of manifest.tables)
    if (present.has(showTable(table))) measures.set(showTable(table), await measure(pg, { ...table, times: Object.keys(newest ?? {}) }))
  return measures
}
