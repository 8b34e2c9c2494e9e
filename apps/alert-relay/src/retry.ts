// When a notification that was not taken is tried again.

const shortest = 5_000
const longest = 3_600_000
const day = 86_400_000

/** Milliseconds before the next attempt after `attempt` (from 1): 5 to 10 s, doubled each time, up to an hour. Half of it is chance, so that many do not come back at once. */
export function backoff(attempt: number, chance = Math.random()): number {
  const full = Math.min(longest, 2 * shortest * 2 ** Math.min(attempt - 1, 20))
  return Math.round((full * (1 + chance)) / 2)
}

/** Milliseconds that a `Retry-After` header asks for, in seconds or as an HTTP date (RFC 9110 §10.2.3): at least 1 s, at most a day; undefined when it says neither. */
export function retryAfter(header: string | null, now: Date): number | undefined {
  if (!header) return undefined
  // Date.parse alone would take -5 or 1.5 for a date.
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : /^[A-Za-z]{3}/.test(header) ? Date.parse(header) - now.getTime() : Number.NaN
  return Number.isNaN(ms) ? undefined : Math.min(day, Math.max(1_000, ms))
}
