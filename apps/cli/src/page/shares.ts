// Who gets how many rows of a page that is too small for all.

export interface Wish {
  /** Rows that it has. */
  wants: number
  /** Rows that it gets before another gets more than its own least. */
  least: number
  /** Its share of the rest, against those of the others. */
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
    ({ least }) => least,
  )
  give(
    i => given[i]! / wishes[i]!.weight,
    () => Infinity,
  )
  return given
}
