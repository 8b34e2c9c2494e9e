// From a sample to the whole, with the error it may have. Keys are met in the order of their hashes, so that those of a sample are drawn as by lot, without replacement.

/** All statements of a review hold together in this share of all reviews. */
export const confidence = 0.999

/** A whole number and what it surely lies between. */
export interface Count {
  n: number
  low: number
  high: number
}

/**
 * How many of `total` keys are of a kind of which `hits` of `seen` are, at an error of `alpha` on both sides together. By Chernoff's bound for the binomial, which Hoeffding
 * showed to hold without replacement (1963, §6): it asks nothing of the share, as the normal one would of small ones.
 */
export function countOf(hits: number, seen: number, total: number, alpha: number): Count {
  if (seen >= total) return { n: hits, low: hits, high: hits }
  if (!seen) return { n: 0, low: 0, high: total }
  const p = hits / seen
  const bound = Math.log(2 / alpha) / seen
  return {
    n: Math.round(p * total),
    low: Math.max(hits, Math.floor(total * edge(p, 0, bound))),
    high: Math.min(total - (seen - hits), Math.ceil(total * edge(p, 1, bound))),
  }
}

/** Between `p` and `far`: where the divergence from `p` reaches `bound`. */
function edge(p: number, far: number, bound: number): number {
  let [near, beyond] = [p, far]
  for (let n = 0; n < 50; n++) {
    const q = (near + beyond) / 2
    if (divergence(p, q) > bound) beyond = q
    else near = q
  }
  return near
}
const divergence = (p: number, q: number) => part(p, q) + part(1 - p, 1 - q)
const part = (a: number, b: number) => (a === 0 ? 0 : a * Math.log(a / b))

/** Fewer values say nothing of how far others lie apart. */
const enough = 30

/**
 * What `values` of a kind among `seen` keys, with their sum and the sum of their squares, come to in `total` keys, and how far off that may be at `alpha`. Null: too few were
 * met to say. The error is the normal one: a few values that are far larger than all that were met are not in it.
 */
export function sumOf(
  { values, sum, squares }: { values: number; sum: number; squares: number },
  seen: number,
  total: number,
  alpha: number,
): { sum: number; error: number | null } {
  if (seen >= total) return { sum, error: 0 }
  if (!seen) return { sum: 0, error: null }
  const mean = sum / seen
  const variance = Math.max(0, squares / seen - mean * mean) * (seen / Math.max(1, seen - 1))
  const error = total * Math.sqrt((variance / seen) * (1 - seen / total)) * quantile(1 - alpha / 2)
  return { sum: Math.round(mean * total), error: values < enough ? null : Math.ceil(error) }
}

/** Of the standard normal distribution, for p ≥ 0.5; to three digits (Abramowitz and Stegun 26.2.23). */
export function quantile(p: number): number {
  const t = Math.sqrt(-2 * Math.log(1 - p))
  return t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
}
