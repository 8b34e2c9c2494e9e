// Every trigger is there and fires when it fired; those behind foreign keys too.
import { readAllTriggers } from '../dump/structure.ts'
import { type Check, type Copy, plant, structureOf } from '../restore/check.ts'
import { partDifferences } from '../restore/compare.ts'

const silencedKeys = `
  SELECT format('%s of %s', k.conname, t.tgrelid::regclass) AS name
    FROM pg_trigger t JOIN pg_constraint k ON k.oid = t.tgconstraint
   WHERE t.tgisinternal AND t.tgenabled = 'D'`

export const triggers: Check = {
  name: 'triggers',
  about: 'every trigger is there and enabled as it was, those of foreign keys too',
  level: 'database',
  check: look,
  async control(copy) {
    await plant(
      copy.pg,
      'CREATE SCHEMA dbops_control',
      'CREATE TABLE dbops_control.parent (id int PRIMARY KEY)',
      'CREATE TABLE dbops_control.child (id int REFERENCES dbops_control.parent)',
      'ALTER TABLE dbops_control.child DISABLE TRIGGER ALL',
    )
    return look(copy)
  },
}

async function look(copy: Copy): Promise<string[]> {
  const silenced = await copy.pg.query<{ name: string }>(silencedKeys)
  return [
    ...(await partDifferences(copy.pg, structureOf(copy).triggers, await readAllTriggers(copy.pg), (was, is) => {
      const trigger = `trigger ${was.name} of ${was.of}`
      if (!is) return `${trigger} is not in the copy`
      return is.enabled === was.enabled ? undefined : `${trigger} is ${state(is.enabled)}, and was ${state(was.enabled)}`
    })),
    ...silenced.map(({ name }) => `foreign key ${name} is not enforced: its triggers are disabled`),
  ]
}

const states: Record<string, string> = { O: 'enabled', D: 'disabled', R: 'enabled on replicas', A: 'always enabled' }
const state = (letter: string) => states[letter] ?? letter
