// Everybody may do what they might do.
import { type Relation, readAllRelations } from '../dump/structure.ts'
import { type Check, type Copy, plant, structureOf } from '../restore/check.ts'
import { differences } from '../restore/compare.ts'
import { majorOf } from '../restore/dump-manifest.ts'

export const grants: Check = {
  name: 'grants',
  about: 'privileges are those of the original',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(copy.pg, 'CREATE SCHEMA dbops_control', 'GRANT USAGE ON SCHEMA dbops_control TO PUBLIC')
    const closed = { name: 'dbops_control', kind: 'schema', owner: '', grants: '', columns: null, rowSecurity: null } satisfies Relation
    return look(copy, [closed])
  },
}

async function look(copy: Copy, expected = structureOf(copy).relations): Promise<string[]> {
  // PostgreSQL 17 has one more privilege (m, MAINTAIN), which every owner of an older server gets in a newer one.
  const sameMajor = majorOf(copy.manifest.server.version) === copy.server.major
  const comparable = (acl: string) => (sameMajor ? acl : acl.replace(/(?<==[a-zA-Z*]*)m\*?(?=[a-zA-Z*]*\/)/g, ''))
  return differences(
    expected,
    await readAllRelations(copy.pg),
    ({ kind, name }) => `${kind} ${name}`,
    (was, is) => {
      // What is not there at all is told by the relations; a column is listed only where something is granted on it.
      if (!is && was.kind !== 'column') return undefined
      const now = comparable(is?.grants ?? '')
      return now === comparable(was.grants)
        ? undefined
        : `privileges on ${was.kind} ${was.name} are ${now || 'none'}, not ${was.grants || 'none'}`
    },
  )
}
