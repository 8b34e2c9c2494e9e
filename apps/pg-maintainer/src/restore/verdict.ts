// Runs the checks over a restored copy, each after its negative control, and comes to a verdict.
import { failureOf, Refused } from '@dbops/contract/failure'
import { type Check, type Copy, NotChecked, plant } from './check.ts'
import { unlessOwnTrouble } from './own-trouble.ts'

export const verdicts = ['pass', 'partial', 'fail'] as const
export type Verdict = (typeof verdicts)[number]

/** `blind`: it did not see what was planted for it, so that its silence means nothing. */
export const outcomes = ['pass', 'fail', 'blind', 'not checked'] as const
export interface Report {
  name: string
  about: string
  outcome: (typeof outcomes)[number]
  seconds: number
  /** The first of them, and how many there are. */
  faults: string[]
  faultCount: number
  /** Why it is blind or was not checked. */
  reason?: string
  notes: string[]
}

/** In a report; all of a backup of ten thousand tables would be no report. */
export const mostFaults = 10

/** Partial: nothing is wrong, and something could not be looked at. */
export function verdictOf(reports: readonly Pick<Report, 'outcome'>[]): Verdict {
  if (reports.some(({ outcome }) => outcome === 'fail' || outcome === 'blind')) return 'fail'
  return reports.some(({ outcome }) => outcome === 'not checked') ? 'partial' : 'pass'
}

/** Never throws for what a check says; for a scratch server that is gone it does, and when the attempt is aborted. */
export async function runCheck(given: Copy, check: Check, signal: AbortSignal): Promise<Report> {
  const began = performance.now()
  const notes: string[] = []
  const copy: Copy = { ...given, say: note => void notes.push(note) }
  const said = await sayOf(copy, check, signal, notes)
  return {
    name: check.name,
    about: check.about,
    seconds: Math.round((performance.now() - began) / 10) / 100,
    notes,
    ...said,
    faults: said.faults.slice(0, mostFaults),
    faultCount: said.faults.length,
  }
}

async function sayOf(
  copy: Copy,
  check: Check,
  signal: AbortSignal,
  notes: string[],
): Promise<Pick<Report, 'outcome' | 'faults' | 'reason'>> {
  try {
    const seen = await apart(copy, check, () => check.control(copy))
    notes.length = 0
    if (!seen.length) return { outcome: 'blind', faults: [], reason: 'it did not see the fault that was planted for it' }
  } catch (error) {
    signal.throwIfAborted()
    unlessOwnTrouble(error)
    if (wasNotChecked(error)) return { outcome: 'not checked', faults: [], reason: (error as Error).message }
    return { outcome: 'blind', faults: [], reason: `its negative control failed: ${failureOf(error).message}` }
  }
  try {
    const faults = await apart(copy, check, () => check.check(copy))
    return { outcome: faults.length ? 'fail' : 'pass', faults }
  } catch (error) {
    signal.throwIfAborted()
    unlessOwnTrouble(error)
    if (wasNotChecked(error)) return { outcome: 'not checked', faults: [], reason: (error as Error).message }
    return { outcome: 'fail', faults: [`it could not be carried out: ${failureOf(error).message}`] }
  }
}

/** A program that is not installed is no fault of the backup. */
const wasNotChecked = (error: unknown) => error instanceof NotChecked || (error instanceof Refused && error.code.startsWith('tool_'))

/** In a transaction that is rolled back whatever happens; what looks from outside gets none, as it would wait for our locks. */
async function apart<T>({ pg }: Copy, { level }: Check, work: () => Promise<T>): Promise<T> {
  if (level !== 'database') return work()
  await plant(pg, 'BEGIN')
  try {
    return await work()
  } finally {
    await plant(pg, 'ROLLBACK')
  }
}

/** Of a check that had nothing to look at. */
export const unchecked = ({ name, about }: Check, reason: string): Report => ({
  name,
  about,
  outcome: 'not checked',
  seconds: 0,
  faults: [],
  faultCount: 0,
  reason,
  notes: [],
})
