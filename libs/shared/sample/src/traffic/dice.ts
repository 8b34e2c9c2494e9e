// Chance that is the same for the same seed: what the traffic does next, not when.

export interface Dice {
  /** 0 ≤ x < 1. */
  next(): number
  /** True in so many of 100 throws. */
  percent(share: number): boolean
  one<T>(of: readonly T[]): T
}

/** Mulberry32: 32 bits of state, enough for which of six things is done next. */
export function dice(seed: number): Dice {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { next, percent: share => next() * 100 < share, one: of => of[Math.floor(next() * of.length)]! }
}
