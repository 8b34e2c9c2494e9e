// Where `up` keeps what must survive it (data, logs, stores), and how other terminals find it: `up.json` in that folder.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { ownerOf } from '@dbops/servers/claim'

/** The repository: this file is apps/cli/src/home.ts. */
export const root = resolve(import.meta.dirname, '../../..')

/** Where Node keeps what it has compiled; a folder that may be thrown away at any time. */
export const compileCache = join(root, 'node_modules/.cache/dbops')

/** The home of an `up` that is started here: `$DBOPS_HOME`, or `.dbops/` in the repository. */
export const homeOfUp = () => resolve(process.env['DBOPS_HOME'] || join(root, '.dbops'))

/** What a running `up` tells of itself. Readable by its user only: the URLs hold passwords. */
export interface UpFile {
  pid: number
  startedAt: string
  environment: string
  /** Its full path; undefined where it runs on defaults. */
  config: string | undefined
  ledgerUrl: string
  redisUrl: string
  /** The ledger's URL as each of the people that `up` has made; none where the ledger was given. */
  people: Record<string, string>
  /** What the services were started with beside their user's environment; the configuration refers to some. */
  variables: Record<string, string>
  services: { app: string; pid: number }[]
}

/** The home whose `up` is meant: `$DBOPS_HOME`, else the nearest `.dbops/up.json` of the current folder, else the repository's. */
export function findHome(from = process.cwd()): string {
  if (process.env['DBOPS_HOME']) return homeOfUp()
  for (let folder = from; ; folder = dirname(folder)) {
    if (existsSync(join(folder, '.dbops/up.json'))) return join(folder, '.dbops')
    if (folder === dirname(folder)) return homeOfUp()
  }
}

const environmentFile = (home: string) => join(home, 'environment')

/** What the data of this home belongs to, also while nothing runs; undefined before the first `up`. */
export function environmentOf(home: string): string | undefined {
  try {
    return readFileSync(environmentFile(home), 'utf8').trim() || undefined
  } catch {
    return undefined
  }
}

export const keepEnvironment = (home: string, environment: string) => writeFileSync(environmentFile(home), `${environment}\n`)

/** The process of the `up` that runs on this home, from its first moment to its last; undefined when there is none. */
export const processOfUp = (home: string): number | undefined => ownerOf(join(home, 'up'))

/** What the `up` that runs on this home tells of itself; undefined when there is none, also when a killed one has left its file. */
export function runningUp(home: string): UpFile | undefined {
  const pid = processOfUp(home)
  if (pid === undefined) return undefined
  try {
    const up = JSON.parse(readFileSync(join(home, 'up.json'), 'utf8')) as UpFile
    return up.pid === pid ? up : undefined
  } catch {
    return undefined
  }
}
