// Every index is there and can be used.
import { readAllIndexes } from '../dump/structure.ts'
import { type Check, type Copy, plant, structureOf } from '../restore/check.ts'
import { partDifferences } from '../restore/compare.ts'

export const indexes: Check = {
  name: 'indexes',
  about: 'every index that could be used is there and can be used',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(
      copy.pg,
      'CREATE SCHEMA dbops_control',
      'CREATE TABLE dbops_control.indexed (id int PRIMARY KEY)',
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'dbops_control.indexed_pkey'::regclass`,
    )
    return look(copy, [{ of: 'dbops_control.indexed', name: 'indexed_pkey', valid: true }])
  },
}

async function look(copy: Copy, expected = structureOf(copy).indexes): Promise<string[]> {
  // pg_dump leaves out those that were invalid.
  const usable = expected.filter(({ valid }) => valid)
  return partDifferences(copy.pg, usable, await readAllIndexes(copy.pg), (was, is) =>
    is?.valid ? undefined : `index ${was.name} of ${was.of} is ${is ? 'invalid' : 'not in the copy'}`,
  )
}
