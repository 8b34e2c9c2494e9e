// A kept data folder has one server at a time. The claim beside it says which processes serve it, so that the next start can tell a
// living owner (refused) from what a killed run left behind (stopped).
import { execFileSync } from 'node:child_process'
import { readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ServerError } from './server-error.ts'

export interface Claim {
  /** Records the server's process; called as soon as it has a pid. */
  serves(pid: number): void
  release(): void
}

interface Written {
  owner: Process
  server?: Process
  /** The space in which its pids are meant: a container has one of its own. */
  space?: string
}
interface Process {
  pid: number
  born: string
}

/**
 * Takes `folder` for this process, in the file `<folder>.claim`. An owner that lives is a ServerError; a server without its owner is
 * told `stopSignal`, waited for, and killed after `patience` milliseconds.
 */
export async function claimFolder(
  folder: string,
  stopSignal: NodeJS.Signals,
  say: (line: string) => void,
  patience = 15_000,
): Promise<Claim> {
  const file = `${folder}.claim`
  const former = read(file)
  if (former && lives(former.owner))
    throw new ServerError(`${folder} is in use by process ${former.owner.pid}`, `Stop that process first, or use another folder.`)
  if (former?.server && lives(former.server)) {
    say(`stopping the server that a former run left behind (process ${former.server.pid}, ${folder})`)
    await end(former.server, stopSignal, patience)
  }
  const mine: Written = { owner: { pid: process.pid, born: born(process.pid) ?? '' }, space: pidSpace() }
  rmSync(file, { force: true })
  // Exclusively: of two starts in the same moment one fails here.
  write(file, mine, 'wx')
  return {
    serves: pid => write(file, { ...mine, server: { pid, born: born(pid) ?? '' } }, 'w'),
    release: () => rmSync(file, { force: true }),
  }
}

/** The living process that has claimed `folder`; undefined when nobody has, or whoever has is dead. */
export function ownerOf(folder: string): number | undefined {
  const claim = read(`${folder}.claim`)
  return claim && lives(claim.owner) ? claim.owner.pid : undefined
}

/** Whether whoever claimed `folder` did so in another container: then nobody here can tell whether that process lives. */
export const isClaimedElsewhere = (folder: string): boolean => (read(`${folder}.claim`)?.space ?? pidSpace()) !== pidSpace()

function pidSpace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

async function end(server: Process, signal: NodeJS.Signals, patience: number): Promise<void> {
  process.kill(server.pid, signal)
  const deadline = performance.now() + patience
  while (lives(server)) {
    if (performance.now() > deadline) process.kill(server.pid, 'SIGKILL')
    await sleep(20)
  }
}

// A pid alone may have been given to another process since; pid and time of birth together are one process.
const lives = ({ pid, born: then }: Process) => born(pid) === then

function born(pid: number): string | undefined {
  try {
    if (process.platform !== 'linux') return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    // The fields after the command's closing bracket: state is the first, start time in clock ticks since boot the twentieth.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

function read(file: string): Written | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Written
  } catch {
    return undefined
  }
}

function write(file: string, claim: Written, flag: 'w' | 'wx'): void {
  writeFileSync(file, JSON.stringify(claim), { flag, mode: 0o600 })
}
