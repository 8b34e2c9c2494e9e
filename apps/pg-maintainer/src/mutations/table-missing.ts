// A table is gone. One without rows in the dump where there is one: no count would miss it.

import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'
import { parseTable, quoteTable, showTable } from '../table-name.ts'

export const tableMissing: Mutation = {
  name: 'table-missing',
  about: 'a missing table',
  level: 'database',
  async apply({ pg, manifest }) {
    const dumped = new Set(manifest.tables.map(({ table }) => quoteTable(table)))
    const all = manifest.facts.structure?.relations.filter(({ kind }) => kind === 'table').map(({ name }) => name) ?? []
    const [first] = manifest.tables
    const name = parseTable(all.find(one => !dumped.has(quoteTable(parseTable(one)!))) ?? '') ?? first?.table
    if (!name) return undefined
    await plant(pg, `DROP TABLE ${quoteTable(name)} CASCADE`)
    return { what: `${showTable(name)} is dropped` }
  },
}
