// A constraint is there and was never checked for the rows that are there.
import { escapeLiteral } from 'pg'
import { plant } from '../restore/check.ts'
import type { Mutation } from '../restore/mutation.ts'

export const constraintUnvalidated: Mutation = {
  name: 'constraint-unvalidated',
  about: 'a constraint that is not validated',
  level: 'database',
  async apply({ pg, manifest }) {
    const constraint = manifest.facts.structure?.constraints.find(({ validated }) => validated)
    if (!constraint) return undefined
    await plant(
      pg,
      `UPDATE pg_constraint SET convalidated = false
        WHERE conrelid = ${escapeLiteral(constraint.of)}::regclass AND conname = ${escapeLiteral(constraint.name)}`,
    )
    return { what: `constraint ${constraint.name} of ${constraint.of} is not validated` }
  },
}
