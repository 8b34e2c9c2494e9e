// Materialized views are filled, and not with nothing.
import { type Check, type Copy, plant } from '../restore/check.ts'
import { quoteTable, showTable } from '../table-name.ts'

const populatedViews = `
  SELECT nspname AS schema, relname AS name, relispopulated AS populated
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind = 'm'`

export const views: Check = {
  name: 'views',
  about: 'every materialized view whose rows can be had from the dump is filled',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(copy.pg, 'CREATE SCHEMA dbops_control', 'CREATE MATERIALIZED VIEW dbops_control.hollow AS SELECT 1 AS one WITH NO DATA')
    const hollow = { view: { schema: 'dbops_control', name: 'hollow' }, populated: true, restorable: true }
    return look({ ...copy, viewFaults: [], manifest: { ...copy.manifest, facts: { ...copy.manifest.facts, views: [hollow] } } })
  },
}

async function look({ pg, manifest, viewFaults }: Copy): Promise<string[]> {
  const found = new Map(
    (await pg.query<{ schema: string; name: string; populated: boolean }>(populatedViews)).map(view => [showTable(view), view]),
  )
  const faults = [...viewFaults]
  for (const { view, populated, restorable, empty } of manifest.facts.views) {
    if (!populated || !restorable) continue
    const is = found.get(showTable(view))
    // One that is not there is told by the relations.
    if (is && !is.populated) faults.push(`${showTable(view)} is not populated`)
    else if (is && empty === false && (await isEmpty(pg, view))) faults.push(`${showTable(view)} is empty, and was not`)
  }
  return faults
}

const isEmpty = async (pg: Copy['pg'], view: { schema: string; name: string }) =>
  !(await pg.query(`SELECT FROM ${quoteTable(view)} LIMIT 1`)).length
