// Makes the database anew from its dump: created like the original, restored to the last entry or not at all, analyzed, its views refreshed in order.
import { createWriteStream } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { failureOf, Refused } from '@dbops/contract/failure'
import { escapeIdentifier, escapeLiteral } from 'pg'
import { dumpFile, globalsFile } from '../dump/restore-lines.ts'
import { quoteTable, showTable, type TableName } from '../table-name.ts'
import { toolFailed } from '../tool.ts'
import type { DumpManifest } from './dump-manifest.ts'
import { restoreGlobals } from './globals.ts'
import { unlessOwnTrouble } from './own-trouble.ts'
import type { Scratch } from './scratch.ts'
import type { Stopwatch } from './stopwatch.ts'
import { chooseEntries, isLeftOut, neverRestored } from './table-of-contents.ts'
import { mostFaults, type Report } from './verdict.ts'

export const restoredDatabase = 'restored'

const availableExtensions = `SELECT name::text FROM pg_available_extensions`
const tablesBySize = `
  SELECT nspname AS schema, relname AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
   WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
   ORDER BY pg_relation_size(c.oid) DESC, 1, 2`
/** An index or a view may call functions by their bare names. */
const asPsql = { search_path: '"$user", public' }
/** More would not be faster on a machine that does other things too. */
const jobs = Math.min(4, availableParallelism())

export interface Rebuilt {
  /** Undefined when it was restored; else why it was not. */
  notRestored: string | undefined
  reports: Report[]
  leftOut: string[]
  dropped: string[]
  viewFaults: string[]
}

export const notRestored = (why: string, reports: Report[] = []): Rebuilt => ({
  notRestored: why,
  reports,
  leftOut: [],
  dropped: [],
  viewFaults: [],
})

/** Globals first, then the database. What the dump itself is to blame for is in the reports; Refused where this machine is. */
export async function rebuild(scratch: Scratch, manifest: DumpManifest, clock: Stopwatch): Promise<Rebuilt> {
  const roleFaults = await clock.time('globals', () => restoreGlobals(scratch, join(scratch.server.folder, globalsFile)))
  const globals = reportOf('globals', 'the server takes every line of the roles', roleFaults, clock.seconds['globals']!)
  await createLikeOriginal(scratch, manifest)
  const leftOut = await extensionsLeftOut(scratch, manifest)
  const { dropped, fault } = await clock.time('restore', () => restoreDump(scratch, leftOut))
  const restore = reportOf('restore', 'pg_restore brings back every entry', fault ? [fault] : [], clock.seconds['restore']!)
  const reports = [globals, restore]
  if (fault) return { ...notRestored('the dump could not be restored', reports), leftOut, dropped }
  const unknown = await clock.time('analyze', () => analyze(scratch))
  reports.push(reportOf('analyze', 'every table can be analyzed', unknown, clock.seconds['analyze']!))
  return { notRestored: undefined, reports, leftOut, dropped, viewFaults: await clock.time('views', () => refreshViews(scratch, manifest)) }
}

const reportOf = (name: string, about: string, faults: string[], seconds: number): Report => ({
  name,
  about,
  outcome: faults.length ? 'fail' : 'pass',
  seconds,
  faults: faults.slice(0, mostFaults),
  faultCount: faults.length,
  notes: [],
})

/** Refused: `locale_missing` where this machine has not the locale of the original. */
async function createLikeOriginal(scratch: Scratch, { server }: DumpManifest): Promise<void> {
  await using session = await scratch.open('postgres')
  const { encoding, collate, ctype, provider, locale } = server
  const named =
    provider === 'i'
      ? `LOCALE_PROVIDER icu ICU_LOCALE ${escapeLiteral(locale ?? '')}`
      : `LOCALE_PROVIDER builtin BUILTIN_LOCALE ${escapeLiteral(locale ?? '')}`
  try {
    await session.execute(
      `CREATE DATABASE ${escapeIdentifier(restoredDatabase)} TEMPLATE template0 ENCODING ${escapeLiteral(encoding)}
       LC_COLLATE ${escapeLiteral(collate)} LC_CTYPE ${escapeLiteral(ctype)} ${provider === 'c' ? '' : named}`,
    )
  } catch (error) {
    const { message } = failureOf(error)
    if (!/locale/i.test(message)) throw error
    throw new Refused(`a database like the original cannot be made here: ${message}`, {
      code: 'locale_missing',
      hint: `make the locale on this machine: locale-gen ${collate}`,
    })
  }
}

/** What the copy is compared with: rows of what is left out are not looked for. */
export const expectedOf = (manifest: DumpManifest, leftOut: readonly string[]): DumpManifest => ({
  ...manifest,
  tables: manifest.tables.filter(({ table }) => !isLeftOut(table, leftOut)),
})

/** Extensions that are left out: those that act by themselves, and those that are not installed here. */
async function extensionsLeftOut(scratch: Scratch, { extensions }: DumpManifest): Promise<string[]> {
  await using session = await scratch.open('postgres')
  const here = new Set((await session.query<{ name: string }>(availableExtensions)).map(({ name }) => name))
  return extensions.map(({ name }) => name).filter(name => neverRestored.includes(name) || !here.has(name))
}

/** Resolves with what was left out and, where pg_restore stopped at an error, with its last words. */
async function restoreDump(scratch: Scratch, leftOut: readonly string[]): Promise<{ dropped: string[]; fault: string | undefined }> {
  const { folder } = scratch.server
  const [dump, list] = [join(folder, dumpFile), join(folder, 'restore.list')]
  const all = join(folder, 'whole.list')
  try {
    const contents = await scratch.tool('pg_restore', ['--list', dump])
    await pipeline(contents.stdout, createWriteStream(all, { mode: 0o600 }))
  } catch (error) {
    return { dropped: [], fault: failureOf(error).message }
  }
  const { kept, dropped } = chooseEntries((await readFile(all, 'utf8')).split('\n'), leftOut)
  await writeFile(list, `${kept.join('\n')}\n`, { mode: 0o600 })
  const restore = await scratch.tool('pg_restore', [
    '--exit-on-error',
    `--jobs=${jobs}`,
    '--no-tablespaces',
    '--no-password',
    `--use-list=${list}`,
    `--dbname=${restoredDatabase}`,
    dump,
  ])
  const end = await restore.done
  if (
    end.signal ||
    /No space left on device|Input\/output error|too many clients|out of (shared )?memory|server closed the connection|terminating connection/.test(
      end.stderr,
    )
  )
    // That is no word about the backup.
    throw toolFailed('pg_restore', end)
  return { dropped, fault: end.code === 0 ? undefined : toolFailed('pg_restore', end).message }
}

/** The largest first, several at a time. What the catalogue itself has for statistics is of no interest in a copy. */
async function analyze(scratch: Scratch): Promise<string[]> {
  const faults: string[] = []
  await using first = await scratch.open(restoredDatabase)
  const waiting = await first.query<TableName>(tablesBySize)
  const work = async () => {
    await using session = await scratch.open(restoredDatabase, asPsql)
    for (let table = waiting.shift(); table; table = waiting.shift()) {
      const name = showTable(table)
      await session.execute(`ANALYZE ${quoteTable(table)}`).catch((error: unknown) => {
        unlessOwnTrouble(error)
        faults.push(`${name}: ${failureOf(error).message}`)
      })
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  return faults
}

/** In the order of the manifest, dimensions before facts. Resolves with those that could not be filled, and why. */
async function refreshViews(scratch: Scratch, { facts }: DumpManifest): Promise<string[]> {
  await using session = await scratch.open(restoredDatabase, asPsql)
  const faults: string[] = []
  for (const { view, populated, restorable } of facts.views) {
    if (!populated || !restorable) continue
    try {
      await session.execute(`REFRESH MATERIALIZED VIEW ${quoteTable(view)}`)
      await session.execute(`ANALYZE ${quoteTable(view)}`)
    } catch (error) {
      unlessOwnTrouble(error)
      faults.push(`${showTable(view)} could not be refreshed: ${failureOf(error).message}`)
    }
  }
  return faults
}
