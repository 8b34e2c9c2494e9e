// The planted fault of `up`: a store's folder is away for a while, as a disk that is not mounted yet, and then it is there. A folder that
// exists already is put aside with what it holds and brought back, so the fault can be seen at every start and costs no backup.
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/**
 * Takes `folder` away before it returns, and brings it (back) `after` milliseconds later, or when the signal aborts, whichever is first.
 * `there` resolves then. A call that was killed in between is made good by the next one.
 */
export function plantLateStore(folder: string, after: number, signal: AbortSignal): { there: Promise<void> } {
  const aside = `${folder}.unmounted`
  mkdirSync(dirname(folder), { recursive: true })
  if (existsSync(folder)) renameSync(folder, aside)
  return { there: bringBack() }

  async function bringBack() {
    await wait(after, undefined, { signal }).catch(() => {})
    if (existsSync(aside)) renameSync(aside, folder)
    else mkdirSync(folder, { recursive: true })
  }
}
