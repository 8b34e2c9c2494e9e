// When a root blocker is wrong, and what would end it.
import { formatDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import type { RootFacts } from './facts.ts'
import type { PreparedTransaction } from './waits.ts'

/** From this wait on, in seconds, it is a finding, and from the second on an error. */
const tooLong = 30
const farTooLong = 300

/** Null while nobody has waited for long enough. */
export function faultOf(fact: RootFacts, prepared: PreparedTransaction[]): Fault | null {
  const { pid, waiters, longestWaitSeconds, transactionStartedAt } = fact
  if (longestWaitSeconds <= tooLong) return null
  const level = longestWaitSeconds > farTooLong ? 'error' : 'warning'
  const waited = `${waiters === 1 ? '1 session waits' : `${waiters} sessions wait`} for up to ${formatDuration(longestWaitSeconds * 1_000)}`
  if (pid === 0)
    return {
      key: 'root prepared',
      level,
      what: `${waited} behind a prepared transaction; prepared are: ${prepared.map(({ gid }) => gid).join(', ')}`,
      hint: 'its coordinator must finish it; docs/operate/locks.md',
      ...(prepared[0] ? { sql: `ROLLBACK PREPARED '${prepared[0].gid.replaceAll("'", "''")}'` } : {}),
      evidence: { root: fact, prepared },
    }
  return {
    key: `root ${pid} ${transactionStartedAt ?? ''}`.trim(),
    level,
    what: `${waited} behind ${describe(fact)}`,
    hint: hintFor(fact),
    sql: fact.state === 'active' ? `SELECT pg_cancel_backend(${pid})` : `SELECT pg_terminate_backend(${pid})`,
    evidence: { root: fact },
  }
}

function describe({ pid, role, application, kind, state, transactionSeconds, query }: RootFacts): string {
  const who = kind && kind !== 'client backend' ? `${kind} ${pid}` : `session ${pid} "${application}" of ${role ?? 'somebody'}`
  const since = transactionSeconds === null ? '' : `, its transaction open for ${formatDuration(transactionSeconds * 1_000)}`
  return `${who}${state ? ` (${state}${since})` : since}${query ? `: ${query}` : ''}`
}

/** What to do about a root, by who it is. */
export function hintFor({ application, kind, state }: Pick<RootFacts, 'application' | 'kind' | 'state'>): string {
  const ours = /^dbops:[^:]+:(\d+):(.+)$/.exec(application)
  if (ours) return `it is ${ours[2]} of this system: ./dbops runs --state running, then ./dbops cancel its run`
  if (kind === 'autovacuum worker')
    return 'it gives way by itself, unless it works against wraparound: then let it finish (docs/operate/wraparound.md)'
  if (state?.startsWith('idle in transaction'))
    return 'its client has forgotten it: ending the session rolls its transaction back; docs/operate/locks.md'
  return 'cancel it if it may be lost; docs/operate/locks.md says what is safe'
}
