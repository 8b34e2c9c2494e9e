// Whether a vacuum of one table had its effect, as a pure decision with its reason.
import { describeHolder, fenceOfOurDump, type Holder } from './holder.ts'

export const outcomes = ['fell', 'few', 'held_by_dump', 'held', 'stayed', 'unmoved'] as const
export type Outcome = (typeof outcomes)[number]

export interface Seen {
  table: string
  startedAt: Date
  /** The server's own record of the last vacuum that came to its end. */
  lastVacuum: Date | null
  before: number
  after: number
  threshold: number
  /** The age of its oldest row, where that should have fallen and is still too high; in transactions or multixacts, the greater. */
  stillOld: number | null
  holders: Holder[]
}

export interface Verdict {
  ok: boolean
  outcome: Outcome
  reason: string
  hint?: string
}

/**
 * Of dead rows that stay above autovacuum's number, at least this share must have gone. On a busy table some always die while it is vacuumed,
 * and some snapshot is always open: then the most goes all the same. Where less went than stayed, the vacuum was for nothing.
 */
const goneAtLeast = 0.5

/** `mine`: the name of our own session, by which a dump of this installation is known. */
export function judge(seen: Seen, mine: string): Verdict {
  const { table, startedAt, lastVacuum, before, after, threshold, stillOld } = seen
  if (!lastVacuum || lastVacuum < startedAt)
    return { ok: false, outcome: 'unmoved', reason: `${table}: last_vacuum did not move (${lastVacuum?.toISOString() ?? 'never'})` }
  const holders = seen.holders.filter(held => wasThere(held, startedAt))
  if (stillOld !== null) return stayed(`${table}: its oldest row is still ${stillOld} transactions old`, holders, mine)
  if (after <= threshold)
    return { ok: true, outcome: 'few', reason: `${table}: ${after} dead rows, autovacuum would come at ${Math.round(threshold)}` }
  if (before - after < goneAtLeast * before)
    return stayed(`${table}: ${after < before ? `${after} of ${before}` : after} dead rows stay`, holders, mine)
  const [oldest] = holders
  const rest = oldest ? `; those that stay are held by ${describeHolder(oldest).who}` : ''
  return { ok: true, outcome: 'fell', reason: `${table}: dead rows fell from ${before} to ${after}${rest}` }
}

/** A session whose transaction began later has kept nothing from this vacuum; of the others it does not matter since when. */
const wasThere = ({ kind, since }: Holder, startedAt: Date) => kind !== 'session' || since === null || since <= startedAt

/** What did not go, with who keeps it. */
function stayed(what: string, [oldest]: Holder[], mine: string): Verdict {
  if (!oldest)
    return {
      ok: false,
      outcome: 'stayed',
      reason: `${what}, and nobody was seen to hold the horizon`,
      hint: 'GRANT pg_monitor to the role of this target, so that it sees all sessions; or the table is written faster than it is vacuumed',
    }
  const fence = fenceOfOurDump(oldest, mine)
  if (fence)
    return {
      ok: true,
      outcome: 'held_by_dump',
      reason: `${what} until our own dump (pg.dump, fence ${fence}) is done; the next vacuum takes them`,
    }
  const { who, hint } = describeHolder(oldest)
  return { ok: false, outcome: 'held', reason: `${what}: the horizon is held by ${who}`, hint }
}
