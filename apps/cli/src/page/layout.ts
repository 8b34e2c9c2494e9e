// Which lines of which section stand on a page that is too small for all.
import type { Line } from './line.ts'

/** One line or more; and one in their place, where there is room for no more. */
export interface Entry {
  whole: string[]
  short: string
  /** Shown before all others, in every section. */
  first?: boolean
}

export interface Section {
  title: string
  entries: Entry[]
  /** Said where there is none. */
  none: string
  /** Lines that it gets before another gets more than its own least. */
  least: number
  /** Its share of what is left then, against those of the others. */
  weight: number
  /** Where there is no room for all the first ones go. */
  keepsLast?: boolean
}

/** Titles, entries and an empty line between sections, in `room` lines. A section that cannot show all says how many are left out. */
export function laidOut(sections: Section[], room: number, line: Line): string[] {
  const wishes = sections.map(({ entries, least, weight }) => ({
    wants: Math.max(1, linesOf(entries)),
    first: firstOf(entries),
    least,
    weight,
  }))
  // Air where there is some: where lines would be cut for it there is none.
  const airy = room >= sections.length * 7 || room >= wishes.reduce((sum, { wants }) => sum + wants + 2, 0)
  const given = shares(wishes, room - sections.length * (airy ? 2 : 1))
  return sections.flatMap(({ title, entries, none, keepsLast }, i) => {
    const rows = given[i]!
    const { lines, left } = keepsLast ? lastFitting(entries, rows) : fitting(entries, rows)
    return [
      ...(airy ? [''] : []),
      line([title.toUpperCase(), 'bold'], [left ? `  ${left} more` : '', 'dim']),
      ...(entries.length || !rows ? lines : [line([none, 'dim'])]),
    ]
  })
}

const firstOf = (entries: Entry[]) => entries.filter(({ first }) => first).length
const linesOf = (entries: Entry[]) => entries.reduce((sum, { whole }) => sum + whole.length, 0)

function fitting(entries: Entry[], rows: number): { lines: string[]; left: number } {
  const lines: string[] = []
  for (const [i, { whole, short }] of entries.entries()) {
    if (lines.length >= rows) return { lines, left: entries.length - i }
    const others = firstOf(entries.slice(i + 1))
    lines.push(...(lines.length + whole.length + others <= rows ? whole : [short]))
  }
  return { lines, left: 0 }
}

function lastFitting(entries: Entry[], rows: number): { lines: string[]; left: number } {
  const lines = entries.flatMap(({ whole }) => whole)
  return { lines: lines.slice(Math.max(0, lines.length - rows)), left: 0 }
}

interface Wish {
  /** Rows that it has. */
  wants: number
  /** Rows that it gets before any other gets one. */
  first?: number
  /** Rows that it gets before another gets more than its own least. */
  least: number
  /** Its share of the rest. */
  weight: number
}

/** Never more than `room` together, and none more than it wants. What one does not need goes to the others. */
export function shares(wishes: Wish[], room: number): number[] {
  const given = wishes.map(() => 0)
  const give = (to: (i: number) => number, until: (wish: Wish) => number) => {
    for (;;) {
      const hungry = wishes.flatMap((wish, i) => (given[i]! < Math.min(wish.wants, until(wish)) ? [i] : []))
      if (!hungry.length || room <= 0) return
      // Whoever has least for its weight is next; the first of several.
      const next = hungry.reduce((best, i) => (to(i) < to(best) ? i : best))
      given[next]!++
      room--
    }
  }
  give(
    i => given[i]!,
    ({ first = 0 }) => first,
  )
  give(
    i => given[i]!,
    ({ least }) => least,
  )
  give(
    i => given[i]! / wishes[i]!.weight,
    () => Infinity,
  )
  return given
}
