// Faults that count only when they last: since when each has been seen, carried from reading to reading in the probe's result.

/** Key of a fault → ISO time of the reading that saw it first. */
export type Since = Record<string, string>

/** The keys that are there now with their times; a key that was not there in the last reading begins now. */
export function seenSince(before: Since | undefined, keys: Iterable<string>, now: Date): Since {
  return Object.fromEntries([...keys].map(key => [key, before?.[key] ?? now.toISOString()]))
}

/** Whether `key` has been there for `ms`. */
export const hasLasted = (since: Since, key: string, ms: number, now: Date): boolean =>
  since[key] !== undefined && now.getTime() - Date.parse(since[key]) >= ms
