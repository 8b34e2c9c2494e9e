// Every constraint is there, and holds for all rows where it held for all rows.
import { readAllConstraints } from '../dump/structure.ts'
import { type Check, type Copy, plant, structureOf } from '../restore/check.ts'
import { partDifferences } from '../restore/compare.ts'

export const constraints: Check = {
  name: 'constraints',
  about: 'every constraint is there, and validated where it was',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(
      copy.pg,
      'CREATE SCHEMA dbops_control',
      'CREATE TABLE dbops_control.bound (id int)',
      'ALTER TABLE dbops_control.bound ADD CONSTRAINT positive CHECK (id > 0) NOT VALID',
    )
    return look(copy, [{ of: 'dbops_control.bound', name: 'positive', validated: true }])
  },
}

async function look(copy: Copy, expected = structureOf(copy).constraints): Promise<string[]> {
  return partDifferences(copy.pg, expected, await readAllConstraints(copy.pg), (was, is) => {
    if (!is) return `constraint ${was.name} of ${was.of} is not in the copy`
    return was.validated && !is.validated ? `constraint ${was.name} of ${was.of} is not validated` : undefined
  })
}
