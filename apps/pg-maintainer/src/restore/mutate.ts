// The mutation check of the checks: plants one known fault after another in copies of the backup and counts how many are seen.
import { failureOf } from '@dbops/contract/failure'
import { type Check, type Copy, NotChecked, plant } from './check.ts'
import type { Mutated, Mutation } from './mutation.ts'
import { unlessOwnTrouble } from './own-trouble.ts'

export interface Score {
  caught: number
  total: number
  mutations: {
    name: string
    outcome: 'caught' | 'missed' | 'not applicable'
    what: string
    /** The first check that saw it, and what it said. */
    by?: string
    fault?: string
  }[]
}

/** Of a copy in which the same checks found no fault: one that was there already would prove nothing. */
export async function mutate(copy: Copy, mutations: readonly Mutation[], checks: readonly Check[], signal: AbortSignal): Promise<Score> {
  const score: Score = { caught: 0, total: 0, mutations: [] }
  for (const mutation of mutations) {
    signal.throwIfAborted()
    const told = await tryMutation(copy, mutation, checks, signal)
    score.mutations.push({ name: mutation.name, ...told })
    if (told.outcome === 'not applicable') continue
    score.total++
    if (told.outcome === 'caught') score.caught++
  }
  return score
}

async function tryMutation(
  copy: Copy,
  mutation: Mutation,
  checks: readonly Check[],
  signal: AbortSignal,
): Promise<Omit<Score['mutations'][number], 'name'>> {
  const inDatabase = mutation.level === 'database'
  let mutated: Mutated | undefined
  if (inDatabase) await plant(copy.pg, 'BEGIN')
  try {
    mutated = await mutation.apply(copy)
    if (!mutated) return { outcome: 'not applicable', what: `${mutation.about}: there is none in this backup` }
    const changed: Copy = { ...copy, ...mutated.copy, say: () => undefined }
    for (const check of checks.filter(({ level }) => level === mutation.level)) {
      const [fault] = await faultsOf(changed, check, inDatabase, signal)
      if (fault !== undefined) return { outcome: 'caught', what: mutated.what, by: check.name, fault }
    }
    return { outcome: 'missed', what: mutated.what }
  } finally {
    if (inDatabase) await plant(copy.pg, 'ROLLBACK')
    await mutated?.undo?.()
  }
}

async function faultsOf(copy: Copy, check: Check, inDatabase: boolean, signal: AbortSignal): Promise<string[]> {
  if (inDatabase) await plant(copy.pg, 'SAVEPOINT dbops_check')
  try {
    return await check.check(copy)
  } catch (error) {
    signal.throwIfAborted()
    unlessOwnTrouble(error)
    // What is not looked at is not seen.
    return error instanceof NotChecked ? [] : [failureOf(error).message]
  } finally {
    if (inDatabase) await plant(copy.pg, 'ROLLBACK TO SAVEPOINT dbops_check')
  }
}
