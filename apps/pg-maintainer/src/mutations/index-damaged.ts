// A page of an index is wrong on disk, in a copy of the copy.
import { damagedCopy } from '../checks/corruption.ts'
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

const mutant = 'dbops_mutant'
// A primary key has no two equal entries: what is out of order is seen.
const largestKey = `
  SELECT i.indexrelid::regclass::text AS name
    FROM pg_index i JOIN pg_class c ON c.oid = indexrelid JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_am a ON a.oid = relam
   WHERE indisprimary AND amname = 'btree' AND nspname !~ '^pg_' AND relkind = 'i'
   ORDER BY relpages DESC, reltuples DESC, 1
   LIMIT 1`

export const indexDamaged: Mutation = {
  name: 'index-damaged',
  about: 'a damaged index',
  level: 'pages',
  async apply(copy) {
    const session = await copy.open(copy.database)
    const [index] = await session.query<{ name: string }>(largestKey)
    await session[Symbol.asyncDispose]()
    if (!index) return undefined
    const undo = () => plant(copy.pg, `DROP DATABASE IF EXISTS ${mutant} WITH (FORCE)`)
    if (!(await damagedCopy(copy, copy.database, mutant, index.name))) {
      await undo()
      return undefined
    }
    return { what: `two entries of ${index.name} have changed places on disk`, copy: { database: mutant }, undo }
  },
}
