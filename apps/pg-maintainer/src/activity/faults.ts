// From when on a long statement or a forgotten transaction is wrong, and what would end it.
import { formatDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import { statementText } from '../statement-text.ts'
import type { LongSession } from './long.ts'

/** In seconds. */
const foundFrom = { active: 300, idle: 600 }

// pid and start: the next statement of the same session is another finding, also when a pid comes again.
const keyOf = (what: string, { pid, since }: LongSession) => `${what} ${pid} ${since.toISOString()}`
const who = ({ pid, application, role }: LongSession) => `session ${pid} "${application}" of ${role}`
const evidenceOf = ({ query, ...session }: LongSession) => ({ ...session, query: statementText(query, 500) })

/** Null while it has not run for long enough. */
export const longStatement = (session: LongSession): Fault | null =>
  session.seconds <= foundFrom.active
    ? null
    : {
        key: keyOf('statement', session),
        level: 'warning',
        what: `${who(session)} has been running one statement for ${formatDuration(session.seconds * 1_000)}${session.waits ? `, now waiting for ${session.waits}` : ''}: ${statementText(session.query)}`,
        hint: 'cancel it if it may be lost: its transaction is rolled back; docs/operate/locks.md',
        sql: `SELECT pg_cancel_backend(${session.pid})`,
        evidence: evidenceOf(session),
      }

/** Null while it has not stood idle for long enough. */
export const idleTransaction = (session: LongSession): Fault | null =>
  session.seconds <= foundFrom.idle
    ? null
    : {
        key: keyOf('transaction', session),
        level: 'warning',
        what: `${who(session)} has done nothing for ${formatDuration(session.seconds * 1_000)} in a transaction open for ${formatDuration((session.transactionSeconds ?? 0) * 1_000)}; it keeps its locks, and may keep dead rows from being removed. Its last statement: ${statementText(session.query)}`,
        hint: 'its client has forgotten it, or waits for somebody else: ending the session rolls the transaction back. idle_in_transaction_session_timeout would do it by itself; docs/operate/locks.md',
        sql: `SELECT pg_terminate_backend(${session.pid})`,
        evidence: evidenceOf(session),
      }
