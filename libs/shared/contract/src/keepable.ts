// What PostgreSQL can keep: no text holds U+0000, no jsonb half a surrogate pair. JSON can write both, so whoever may write the stream can send them.

/** The same text with U+FFFD where it holds what cannot be kept. */
export const keepable = (text: string): string => text.replaceAll('\0', '\ufffd').toWellFormed()

/** Whether a value of JSON can be kept as jsonb, all its names and texts at any depth. */
export function isKeepable(value: unknown): boolean {
  if (typeof value === 'string') return !value.includes('\0') && value.isWellFormed()
  if (typeof value !== 'object' || value === null) return true
  return Object.entries(value).every(([name, part]) => isKeepable(name) && isKeepable(part))
}
