// The words that narrow a list: how many, and of which kind.
import { nearMiss } from '@dbops/contract/names'
import { Failed } from './fail.ts'

/** A whole number from 1 to 10000. Fails with exit 2. */
export function limitOf(given: unknown): number {
  const limit = Number(given)
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
    throw new Failed('wrong', `--limit: "${String(given)}" is no whole number from 1 to 10000`, { hint: 'for example --limit 50' })
  return limit
}

/** Of a flag that may be given again or hold several, comma-separated; undefined when it was not given. Fails with exit 2 for an unknown word. */
export function wordsOf<Word extends string>(flag: string, given: unknown, known: readonly Word[]): Word[] | undefined {
  if (given === undefined) return undefined
  const words = [given as string | string[]].flat().flatMap(text => text.split(','))
  return words.map(word => {
    const found = known.find(one => one === word)
    if (!found)
      throw new Failed('wrong', `${flag}: "${word}" is not one of ${known.join(', ')}`, {
        hint: nearMiss(word, known) ?? `${flag} ${known[0] ?? ''}`,
      })
    return found
  })
}
