// One who holds the horizon: in words, as a fact of a run, and with the statement that would end it, for a person to read and run.
import { escapeLiteral } from 'pg'
import { z } from 'zod'
import { describeRoot, endOfRoot, type LockRoot } from '../locks/root.ts'

export interface Holder {
  kind: 'session' | 'standby' | 'slot' | 'prepared'
  /** The application's name, the slot's, or the transaction's global id. */
  name: string
  pid: number | null
  role: string | null
  /** Null: this one. */
  database: string | null
  since: Date | null
  state: string | null
  /** How many transactions ago its horizon was the newest. */
  age: number
  /** How many sessions have the same horizon only because they wait for it, or see it. */
  behind: number
  /** Where it waits for a lock itself: for whom. Nothing moves before that one ends. */
  waitsFor: LockRoot | null
}

const time = z.iso.datetime()
/** As it stands in the result of a run. */
export const holderFact = z.strictObject({
  kind: z.enum(['session', 'standby', 'slot', 'prepared']),
  name: z.string(),
  pid: z.int().nullable(),
  role: z.string().nullable(),
  database: z.string().nullable(),
  since: time.nullable(),
  state: z.string().nullable(),
  age: z.int(),
  behind: z.int(),
  waitsFor: z
    .strictObject({ pid: z.int(), name: z.string(), role: z.string().nullable(), state: z.string().nullable(), since: time.nullable() })
    .nullable(),
})
type Fact = z.infer<typeof holderFact>

const iso = (at: Date | null) => at?.toISOString() ?? null
const date = (at: string | null) => (at === null ? null : new Date(at))

/** The first five: a run's result goes into the ledger and into events. */
export const factsOfHolders = (holders: readonly Holder[]): Fact[] =>
  holders.slice(0, 5).map(held => ({
    ...held,
    since: iso(held.since),
    waitsFor: held.waitsFor && { ...held.waitsFor, since: iso(held.waitsFor.since) },
  }))

export const holdersOfFacts = (facts: readonly Fact[]): Holder[] =>
  facts.map(fact => ({
    ...fact,
    since: date(fact.since),
    waitsFor: fact.waitsFor && { ...fact.waitsFor, since: date(fact.waitsFor.since) },
  }))

/** `dbops:1f2e3d4c:17:pg.dump` under the installation of `mine` → 17. */
export function fenceOfOurDump(holder: Pick<Holder, 'kind' | 'name'>, mine: string): string | undefined {
  const [, installation] = mine.split(':')
  const [system, theirs, fence, task] = holder.name.split(':')
  return holder.kind === 'session' && system === 'dbops' && theirs === installation && task === 'pg.dump' ? fence : undefined
}

/** Undefined where no statement on this server would: a standby's long query ends there. */
export function endOfHolder({ kind, name, pid, database, waitsFor }: Holder): string | undefined {
  if (kind === 'slot') return `SELECT pg_drop_replication_slot(${escapeLiteral(name)})`
  if (kind === 'prepared') return `ROLLBACK PREPARED ${escapeLiteral(name)}${database === null ? '' : ` -- in database ${database}`}`
  if (kind === 'standby') return undefined
  return waitsFor ? endOfRoot(waitsFor) : `SELECT pg_terminate_backend(${pid})`
}

/** Who it is, and what to do about it. */
export function describeHolder(holder: Holder): { who: string; hint: string } {
  const { kind, name, pid, role, database, since, state, behind, waitsFor } = holder
  const end = endOfHolder(holder)
  const where = database === null ? '' : ` in database "${database}"`
  const when = since ? ` since ${since.toISOString()}` : ''
  const queue = behind ? `, ${behind} more behind it` : ''
  if (kind === 'slot') return { who: `replication slot "${name}" (${state})`, hint: `let its reader catch up, or drop it: ${end}` }
  if (kind === 'prepared')
    return { who: `prepared transaction "${name}" of ${role}${where}${when}${queue}`, hint: `finish it: COMMIT PREPARED or ${end}` }
  if (kind === 'standby') return { who: `standby "${name}" by its feedback${when}`, hint: 'end the long query on that standby' }
  const session = `session ${pid} "${name}" of ${role} (${state})${where}${when}`
  if (!waitsFor) return { who: `${session}${queue}`, hint: `end its transaction, or the session: ${end}` }
  return {
    who: `${session}, which waits for ${describeRoot(waitsFor)}${queue}`,
    hint: `end the transaction that it waits for${end ? `, or that session: ${end}` : ''}`,
  }
}
