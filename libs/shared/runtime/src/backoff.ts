// How long a run waits before it is tried again.

/** Milliseconds before the next attempt: the configured ones before the second, ×4 for each further, at most 10 minutes, ±10 % so that many do not come at once. */
export const backoff = ({ backoffMs, attempt }: { backoffMs: number; attempt: number }): number =>
  Math.round(Math.min(backoffMs * 4 ** Math.min(Math.max(0, attempt - 1), 10), 600_000) * (0.9 + Math.random() * 0.2))
