// An index is there and cannot be used, as after a CREATE INDEX CONCURRENTLY that failed.
import { escapeLiteral } from 'pg'
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

export const indexInvalid: Mutation = {
  name: 'index-invalid',
  about: 'an invalid index',
  level: 'database',
  async apply({ pg, manifest }) {
    const index = manifest.facts.structure?.indexes.find(({ valid }) => valid)
    if (!index) return undefined
    await plant(
      pg,
      `UPDATE pg_index SET indisvalid = false
        WHERE indrelid = ${escapeLiteral(index.of)}::regclass AND indexrelid = (SELECT oid FROM pg_class WHERE oid = indexrelid AND relname = ${escapeLiteral(index.name)})`,
    )
    return { what: `index ${index.name} of ${index.of} is invalid` }
  },
}
