// What a check of a restored copy is. Each is tried before it is believed: it must see a fault that was planted for it.
import type { ClientProgram, SecondSession, Statements, Tool } from '../task.ts'
import type { DumpManifest } from './dump-manifest.ts'

/** The restored copy, as a check sees it. */
export interface Copy {
  manifest: DumpManifest
  /** A superuser's session in the copy, inside a transaction that will be rolled back. Savepoints are free to use. */
  pg: Statements
  database: string
  /** What this system started: the copy must be in it and nowhere else. `folder` holds the files of the backup beside it. */
  server: { major: number; version: string; data: string; folder: string }
  /** The role of the application, where the target names one. */
  appRole: string | undefined
  /** With `--mutate` there is time for what is many times slower. */
  thorough: boolean
  /** Starts a client program, connected to the copy. Refused where it is missing. */
  tool(program: ClientProgram, args: string[]): Promise<Tool>
  /** Files of the backup that are not what their manifest says, found while they were read. */
  fileFaults: string[]
  /** Extensions that could not be made here, or may not be, and whose objects were left out. */
  leftOut: string[]
  /** Views whose refresh failed, each with the server's reason. */
  viewFaults: string[]
  /** Something worth knowing that is no fault: it stands in the report. */
  say(note: string): void
  /** A session of its own in this or another database of the scratch server. */
  open(database: string): Promise<SecondSession>
}

export interface Check {
  name: string
  /** What it makes sure of, in half a sentence. */
  about: string
  /**
   * What it can see: `files` of the backup, rows and definitions of the `database`, or the `pages` on disk, for which another program looks from
   * outside: it sees nothing of an open transaction.
   */
  level: 'files' | 'database' | 'pages'
  /** Plants a fault that is none of the backup's and returns what the check finds of it. Nothing found: the check is blind. */
  control(copy: Copy): Promise<string[]>
  /** Each fault in a sentence with its figures. Throws NotChecked where it cannot look. */
  check(copy: Copy): Promise<string[]>
}

/** There is nothing to compare with, or nothing to look with: the check says neither yes nor no. */
export class NotChecked extends Error {}

/** One after the other: each of them may be one statement only. */
export async function plant(pg: Statements, ...statements: string[]): Promise<void> {
  for (const statement of statements) await pg.execute(statement)
}

/** Throws NotChecked for a dump whose manifest says nothing of structure. */
export function structureOf({ manifest }: Copy) {
  const { structure } = manifest.facts
  if (!structure) throw new NotChecked('the dump is older than this check: its manifest says nothing of it')
  return structure
}
