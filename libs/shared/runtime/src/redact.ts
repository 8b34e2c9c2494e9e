// Takes secrets, and what no ledger can hold, out of text before it reaches a log, an event or a screen.
import { keepable } from '@dbops/contract/keepable'

/** Shorter values are left alone: they would blacken half of every line. */
const shortest = 4
const opened = new Set<string>()

/** Remembers a value for `redact`, for the life of the process. Of a connection URL only the password is secret; its host helps at night. */
export function registerSecret(value: string): void {
  const url = /^(postgres(ql)?|redis|rediss|bolt(\+s|\+ssc)?|neo4j(\+s|\+ssc)?):\/\//.test(value) ? URL.parse(value) : null
  if (!url) return remember(value)
  remember(url.password)
  try {
    remember(decodeURIComponent(url.password))
  } catch {
    // A stray % means that the password was meant as it stands.
  }
}

const remember = (value: string) => {
  if (value.length >= shortest) opened.add(value)
}

/**
 * The text without passwords in URLs (`scheme://user:***@host`), without the values of `password=…`, `"password": …` and SQL's `PASSWORD '…'`, and without every secret that this process has
 * opened or that `secrets` lists (those of at least 4 characters). U+0000 and halves of characters become U+FFFD: a database may hold them, the ledger cannot.
 */
export function redact(text: string, secrets: Iterable<string> = []): string {
  // The longest first, so that a secret that is part of another leaves no rest of it.
  const values = [...opened, ...[...secrets].filter(value => value.length >= shortest)].sort((a, b) => b.length - a.length)
  // The scheme has an end, or a megabyte without a space would be looked through once from each of its letters.
  return keepable(values.reduce((rest, value) => rest.replaceAll(value, '***'), text))
    .replace(/([a-z][a-z0-9+.-]{0,30}:\/\/[^\s:@/]*):[^\s/"'<>]+@/gi, '$1:***@')
    .replace(/\b((?:pg)?password|passwd|pwd)(\s*=\s*|"\s*:\s*|\s+(?='))("[^"]*"|'[^']*'|[^\s,;&}]+)/gi, '$1$2***')
}

/** The same for every text in a value of JSON; of names only what no ledger can hold. */
export function redactAll<T>(value: T): T {
  if (typeof value === 'string') return redact(value) as T
  if (Array.isArray(value)) return value.map(redactAll) as T
  if (value === null || typeof value !== 'object' || value instanceof Date) return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [keepable(key), redactAll(inner)])) as T
}
