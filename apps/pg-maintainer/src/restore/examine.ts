// Leads the checks, and the mutations that try them, to the copy: into it for what stands in the database, beside it for what lies on disk.
import type { AnyContext } from '@dbops/contract/task'
import { findAppRole } from './app-role.ts'
import type { Check, Copy } from './check.ts'
import { mutate, type Score } from './mutate.ts'
import type { Mutation } from './mutation.ts'
import { type Rebuilt, restoredDatabase } from './rebuild.ts'
import type { Scratch } from './scratch.ts'
import { type Report, runCheck, unchecked } from './verdict.ts'

export type Found = Pick<Copy, 'manifest' | 'appRole' | 'fileFaults' | 'viewFaults' | 'leftOut' | 'thorough'> & Pick<Rebuilt, 'notRestored'>

/** In the order of `checks`. Without a restored database only the files are looked at. */
export async function examine(
  scratch: Scratch,
  found: Found,
  checks: readonly Check[],
  { signal, progress }: Pick<AnyContext, 'signal' | 'progress'>,
): Promise<Report[]> {
  const reports = new Map<string, Report>()
  // The pages are read from outside, by another program: both look at the same time.
  await Promise.all(
    stations.map(async ([database, isHere]) => {
      const mine = checks.filter(isHere)
      if (found.notRestored !== undefined && mine[0]?.level !== 'files') {
        for (const check of mine) reports.set(check.name, unchecked(check, found.notRestored))
        return
      }
      await using copy = await copyIn(scratch, found, database)
      for (const check of mine) {
        progress(reports.size, checks.length, 'checks', check.name)
        reports.set(check.name, await runCheck(copy, check, signal))
      }
    }),
  )
  return checks.map(({ name }) => reports.get(name)!)
}

/** Of a copy in which the same checks found nothing. */
export async function tryChecks(
  scratch: Scratch,
  found: Found,
  checks: readonly Check[],
  mutations: readonly Mutation[],
  signal: AbortSignal,
): Promise<Score> {
  const scores: Score[] = []
  for (const [database, isHere] of stations) {
    await using copy = await copyIn(scratch, found, database)
    scores.push(await mutate(copy, mutations.filter(isHere), checks, signal))
  }
  return {
    caught: scores.reduce((sum, { caught }) => sum + caught, 0),
    total: scores.reduce((sum, { total }) => sum + total, 0),
    mutations: scores.flatMap(({ mutations: tried }) => tried),
  }
}

// A database that is copied may have nobody in it.
const stations: [database: string, isHere: (one: Pick<Check, 'level'>) => boolean][] = [
  ['postgres', ({ level }) => level === 'files'],
  [restoredDatabase, ({ level }) => level === 'database'],
  ['postgres', ({ level }) => level === 'pages'],
]

async function copyIn(scratch: Scratch, found: Found, database: string): Promise<Copy & AsyncDisposable> {
  const pg = await scratch.open(database)
  return {
    ...found,
    appRole: found.appRole ?? (database === restoredDatabase ? await findAppRole(pg) : undefined),
    pg,
    database: restoredDatabase,
    server: { major: scratch.major, version: scratch.version, data: scratch.server.data, folder: scratch.server.folder },
    tool: (program, args) => scratch.tool(program, args),
    say: () => undefined,
    open: wanted => scratch.open(wanted),
    [Symbol.asyncDispose]: () => pg[Symbol.asyncDispose](),
  }
}
