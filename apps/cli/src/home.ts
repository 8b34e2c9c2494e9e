// Where `up` keeps what must survive it (data, logs, stores), and how other terminals find it: `up.json` in that folder.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/** The repository: this file is apps/cli/src/home.ts. */
export const root = resolve(import.meta.dirname, '../../..')

/** The home of an `up` that is started here: `$DBOPS_HOME`, or `.dbops/` in the repository. */
export const homeOfUp = () => resolve(process.env['DBOPS_HOME'] || join(root, '.dbops'))

/** What a running `up` tells of itself. Readable by its user only: the URLs hold passwords. */
export interface UpFile {
  pid: number
  /** When the process was born: a pid alone may belong to another process by now. */
  born: string
  startedAt: string
  environment: string
  config: string
  ledgerUrl: string
  redisUrl: string
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

/** The `up` that runs on this home; undefined when there is none, also when a killed one has left its file. */
export function runningUp(home: string): UpFile | undefined {
  const up = readUp(home)
  return up && bornAt(up.pid) === up.born ? up : undefined
}

function readUp(home: string): UpFile | undefined {
  try {
    return JSON.parse(readFileSync(join(home, 'up.json'), 'utf8')) as UpFile
  } catch {
    return undefined
  }
}

/** When a process was born, in its system's own words; undefined when there is no such process. */
export function bornAt(pid: number): string | undefined {
  try {
    if (process.platform !== 'linux') return process.kill(pid, 0) ? 'lives' : undefined
    // The fields after the command's closing bracket: state is the first, start time in clock ticks since boot the twentieth.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
