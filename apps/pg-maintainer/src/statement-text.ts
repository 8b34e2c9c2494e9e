// The text of somebody's statement as it may leave the server, and why there may be none.
import { redact } from '@dbops/runtime/redact'
import { withoutLiterals } from '@dbops/runtime/without-literals'

/**
 * At most `most` characters, without the values that were asked for. Null where the role may not see it. The literals go first: a secret that is taken out of the
 * middle of a quoted text takes a quote along, and all behind it would pass for names.
 */
export const statementText = (query: string | null, most = 200): string | null =>
  query === null || query === '<insufficient privilege>' ? null : redact(withoutLiterals(query, most))

/** Why a text, a state or a time of somebody else's session is null. */
export const hiddenReason = 'the role may not see what other sessions do: GRANT pg_monitor to it'
