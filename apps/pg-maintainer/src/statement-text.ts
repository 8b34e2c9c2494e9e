// The text of somebody's statement as it may leave the server: without passwords, on one line, and cut.
import { redact } from '@dbops/runtime/redact'

/** At most `most` characters. Redacted before it is cut, as half a secret would be recognised by nobody. Null where the role may not see it. */
export function statementText(query: string | null, most = 200): string | null {
  if (query === null || query === '<insufficient privilege>') return null
  const text = redact(query).replace(/\s+/g, ' ').trim()
  return text.length > most ? `${text.slice(0, most - 1)}…` : text
}

/** Why a text, a state or a time of somebody else's session is null. */
export const hiddenReason = 'the role may not see what other sessions do: GRANT pg_monitor to it'
