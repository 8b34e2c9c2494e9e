// Two lists of the same things, one from the manifest and one from the copy: what of the first is not so in the second.
import type { Part } from '../dump/structure.ts'
import type { Statements } from '../task.ts'

/** `tell` says what is wrong with one thing; undefined: it is as it was. What is in the copy alone is nobody's fault here. */
export function differences<T>(
  expected: readonly T[],
  found: readonly T[],
  key: (thing: T) => string,
  tell: (was: T, is: T | undefined) => string | undefined,
): string[] {
  const byKey = new Map(found.map(thing => [key(thing), thing]))
  return expected.map(thing => tell(thing, byKey.get(key(thing)))).filter(fault => fault !== undefined)
}

const allRelations = `SELECT format('%s.%s', nspname, relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'm', 'v', 'f')`
const allQuoted = `SELECT format('%I.%I', nspname, relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p', 'm', 'v', 'f')`

/** Names of the tables and views in the copy, as the list of policies writes them: without quotes. */
export const relationNames = async (pg: Statements): Promise<Set<string>> => names(pg, allRelations)

const names = async (pg: Statements, sql: string) => new Set((await pg.query<{ name: string }>(sql)).map(({ name }) => name))

/** As `differences`, of what belongs to a table or view. Of one that is not there nothing is said: that is told by the relations. */
export async function partDifferences<T extends Part>(
  pg: Statements,
  expected: readonly T[],
  found: readonly T[],
  tell: (was: T, is: T | undefined) => string | undefined,
): Promise<string[]> {
  const present = await names(pg, allQuoted)
  return differences(
    expected.filter(part => present.has(part.of)),
    found,
    part => `${part.of} ${part.name}`,
    tell,
  )
}
