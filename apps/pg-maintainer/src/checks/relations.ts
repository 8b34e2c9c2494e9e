// Every schema, table, view, sequence and function is there, with its columns; and nothing that was not.
import { type Relation, readAllRelations } from '../dump/structure.ts'
import { type Check, type Copy, plant, structureOf } from '../restore/check.ts'
import { differences } from '../restore/compare.ts'

export const relations: Check = {
  name: 'relations',
  about: 'every schema, table, view, sequence and function is there with its columns, and no other',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(copy.pg, 'CREATE SCHEMA dbops_control')
    return look(copy)
  },
}

async function look(copy: Copy): Promise<string[]> {
  // A column stands here for its privileges alone.
  const whole = (all: Relation[]) => all.filter(({ kind }) => kind !== 'column')
  const expected = whole(structureOf(copy).relations)
  const found = whole(await readAllRelations(copy.pg))
  const key = ({ kind, name }: Relation) => `${kind} ${name}`
  return [
    ...differences(expected, found, key, (was, is) => {
      if (!is) return `${key(was)} is not in the copy`
      return is.columns === was.columns ? undefined : `the columns of ${was.name} are not those of the original`
    }),
    ...differences(found, expected, key, (is, was) => (was ? undefined : `${key(is)} is in the copy and was not in the original`)),
  ]
}
