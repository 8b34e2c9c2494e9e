// Everything belongs to whom it belonged to, and the roles are there.
import { readAllRelations } from '../dump/structure.ts'
import { type Check, type Copy, plant, structureOf } from '../restore/check.ts'
import { differences } from '../restore/compare.ts'

const rolesHere = `SELECT rolname::text AS name FROM pg_roles`

export const owners: Check = {
  name: 'owners',
  about: 'every role is there, and everything belongs to its owner',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(copy.pg, 'CREATE SCHEMA dbops_control')
    const mine = { name: 'dbops_control', kind: 'schema' as const, owner: 'nobody', grants: '', columns: null, rowSecurity: null }
    return look(copy, [mine])
  },
}

async function look(copy: Copy, expected = structureOf(copy).relations): Promise<string[]> {
  const roles = new Set((await copy.pg.query<{ name: string }>(rolesHere)).map(({ name }) => name))
  return [
    ...copy.manifest.roles.filter(role => !roles.has(role)).map(role => `role ${role} is not in the copy`),
    ...differences(
      expected,
      await readAllRelations(copy.pg),
      ({ kind, name }) => `${kind} ${name}`,
      // What is not there is told by the relations.
      (was, is) => (!is || is.owner === was.owner ? undefined : `${was.kind} ${was.name} belongs to ${is.owner}, not to ${was.owner}`),
    ),
  ]
}
