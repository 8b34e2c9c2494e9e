// What a name in the configuration may be, and the nearest known name for a word that is not one.
import { z } from 'zod'

export const engines = ['pg', 'neo4j', 'redis'] as const
export type Engine = (typeof engines)[number]

export const name = z
  .string()
  .regex(/^[a-z][a-z0-9-]*$/, 'is no name')
  .meta({ 'x-hint': 'a name has lower-case letters, digits and hyphens and begins with a letter' })

/** A word longer than this is no misspelt name, and comparing it would take long. */
const longestName = 100

/** `schema.table` as the catalogue of a database spells it; a name with a dot or a space stands in double quotes: `"Weird Schema"."My.Table"`. */
export const tablePattern = /^("(?:[^"]|"")+"|[^."\s]+)\.("(?:[^"]|"")+"|[^."\s]+)$/
export const table = z
  .string()
  .regex(tablePattern, 'is no table')
  .meta({
    'x-hint': 'write schema.table, as the catalogue spells it; quote a name that has a dot or a space: "My Table"',
    examples: ['core.event_outbox'],
  })

/** `did you mean "outbox-failed"?` for the known word at the smallest edit distance, or undefined when none is near. */
export function nearMiss(word: string, known: Iterable<string>): string | undefined {
  if (word.length > longestName) return undefined
  const ranked = [...known].map(candidate => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
  const best = ranked.sort((a, b) => a.distance - b.distance)[0]
  return best && best.distance <= Math.max(2, Math.floor(word.length / 3)) ? `did you mean "${best.candidate}"?` : undefined
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replaced = above[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(above[column]! + 1, current[column - 1]! + 1, replaced))
    }
    above = current
  }
  return above[b.length]!
}
