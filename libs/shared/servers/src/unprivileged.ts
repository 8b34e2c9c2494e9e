// PostgreSQL refuses to run as root. This finds the user to run it as, and a folder which that user can reach.
import { execFileSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ServerError } from './server-error.ts'

export interface User {
  name: string
  uid: number
  gid: number
}

/** Undefined when we are not root: then servers run as we do. Data that is there already decides: it belongs to whom it was made for. */
export function unprivilegedUser(data?: string): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const owner = data && existsSync(data) ? statSync(data) : undefined
  if (owner?.uid) return { name: `${owner.uid}`, uid: owner.uid, gid: owner.gid }
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { stdio: ['ignore', 'pipe', 'ignore'] }))
      return { name, uid: id('-u'), gid: id('-g') }
    } catch {
      // No such user on this machine.
    }
  }
  throw new ServerError(
    'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody"',
    'Run as an ordinary user, or: useradd --system postgres',
  )
}

/** Where folders go that the server's user cannot reach, such as those below /root. */
const elsewhere = '/var/lib/dbops'

/**
 * Makes `folder` and gives it to the user. When a folder above it is closed to the user (a clone below /root), the same name is made
 * below /var/lib/dbops instead: always the same one for the same folder, so that data kept there is found again.
 */
export function folderFor(folder: string, user: User | undefined): string {
  const place = placeOf(folder, user)
  // Folders on the way may be passed through, not listed; what is in them is closed by its own mode.
  mkdirSync(dirname(place), { recursive: true, mode: 0o711 })
  mkdirSync(place, { recursive: true, mode: 0o700 })
  if (user) {
    chownSync(place, user.uid, user.gid)
    if (!enters(place, user))
      throw new ServerError(`user ${user.name} cannot reach ${place}`, 'Choose a folder that others may enter: DBOPS_HOME=/var/lib/dbops')
  }
  return place
}

/** Where `folderFor` puts a folder, whether or not it exists. */
export function placeOf(folder: string, user: User | undefined): string {
  const wanted = resolve(folder)
  return user && !canReach(wanted, user) ? `${elsewhere}/${wanted.slice(1).replaceAll('/', '-')}` : wanted
}

// The nearest folder above that exists decides; what is made below it is open enough.
function canReach(wanted: string, user: User): boolean {
  let parent = resolve(wanted, '..')
  while (!existsSync(parent)) parent = resolve(parent, '..')
  return enters(parent, user)
}

function enters(folder: string, { uid, gid }: User): boolean {
  try {
    execFileSync('/bin/sh', ['-c', 'test -x "$1"', 'sh', folder], { uid, gid, cwd: '/', stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
