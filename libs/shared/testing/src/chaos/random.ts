// Random numbers that come again from the same seed (mulberry32, by Tommy Ettinger, public domain).

export interface Random {
  /** In [0, 1). */
  next(): number
  /** A whole number of [from, to]. */
  between(from: number, to: number): number
  oneOf<T>(all: readonly T[]): T
  chance(p: number): boolean
}

export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const between = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))
  return { next, between, oneOf: all => all[between(0, all.length - 1)]!, chance: p => next() < p }
}
