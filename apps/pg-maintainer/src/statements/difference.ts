// What happened between two readings of counters that somebody may reset, that the server throws out when it has too many, and that it loses in a crash.
import { type Counted, type Counters, keyOf, type LastCounted, type ServerState } from '@dbops/ledger/statements'

export interface Difference {
  /** Entries that moved, with what they rose by, and entries that are gone. */
  changed: (Counted & { id: number | null; rose: Counters | null })[]
  /** Why what moved is not all that happened; empty: it is. */
  missing: string[]
  /** Entries that the server threw out to make room. */
  evictions: number
}

const nothing: Counters = { calls: 0, totalMs: 0, rows: 0, hit: 0, read: 0, dirtied: 0, temp: 0, wal: 0 }

/** Without a former reading everything is a beginning, and nothing has risen. */
export function difference(last: LastCounted, state: ServerState, now: Counted[]): Difference {
  const { reading } = last
  const before = new Map(last.statements.map(one => [keyOf(one), one]))
  const wasReset = reading !== null && reading.statsReset?.getTime() !== state.statsReset?.getTime()
  const changed: Difference['changed'] = []
  let startedOver = 0
  for (const one of now) {
    const old = before.get(keyOf(one))
    before.delete(keyOf(one))
    if (old?.calls === one.calls && !wasReset) continue
    // Counters that fell began again: the entry was thrown out, or reset by itself, and came back.
    const beganAgain = old !== undefined && old.calls > 0 && one.calls < old.calls
    if (beganAgain) startedOver++
    const from = !old || wasReset || beganAgain ? nothing : old
    changed.push({ ...one, id: old?.id ?? null, rose: reading && rise(from, one) })
  }
  const gone = [...before.values()].filter(({ calls }) => calls > 0)
  changed.push(...gone.map(one => ({ ...one, ...nothing, maxMs: 0, rose: null })))
  const evictions = !reading ? 0 : wasReset ? state.dealloc : Math.max(0, state.dealloc - reading.dealloc)
  return { changed, missing: reading ? whatIsMissing(state, wasReset, evictions, startedOver + gone.length) : [], evictions }
}

function whatIsMissing({ statsReset }: ServerState, wasReset: boolean, evictions: number, lost: number): string[] {
  if (wasReset) return [`all counters began anew at ${statsReset?.toISOString() ?? 'an unknown time'}: a reset, or a crash of the server`]
  if (evictions)
    return [`the server made room ${times(evictions)}: ${statements(lost)} thrown out or began anew, others may never have been seen`]
  return lost ? [`${statements(lost)} reset one by one`] : []
}

const times = (n: number) => (n === 1 ? 'once' : `${n} times`)
const statements = (n: number) => (n === 1 ? '1 statement was' : `${n} statements were`)

// Never below 0: an entry that was thrown out and came back may have more calls than before, and less of something else.
const rise = (from: Counters, to: Counters): Counters =>
  Object.fromEntries(
    (Object.keys(nothing) as (keyof Counters)[]).map(name => [name, Math.max(0, to[name] - from[name])]),
  ) as unknown as Counters
