// The differences of counters against a server that is only played: whatever is reset and thrown out between readings, what can be known is counted, and nothing twice.
import type { Counted, Counters, LastCounted, ServerState } from '@dbops/ledger/statements'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { difference } from '../src/statements/difference.ts'

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ does: fc.constant('run' as const), entry: fc.nat(3), calls: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 4, arbitrary: fc.constant({ does: 'read' as const }) },
  { weight: 1, arbitrary: fc.constant({ does: 'reset' as const }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('evict' as const), entry: fc.nat(3) }) },
)

test('windows hold all that ran and can be known, never more, and are complete where that is everything', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      for (const { counted, knowable, ran, missing } of play(steps)) {
        expect(counted).toBe(knowable)
        if (!missing) expect(knowable).toBe(ran)
      }
    }),
    { numRuns: 2_000 },
  )
})

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never
interface Window {
  ran: number
  /** Without what ran before an entry began anew; of one that has come back with more calls than it had, without what it had. */
  knowable: number
  counted: number
  missing: boolean
}

/** What each window says, beside what was played in it. */
function play(steps: Step[]): Window[] {
  const entries = new Map<number, number>()
  let before = new Map<number, number>()
  const windows: Window[] = []
  let state: ServerState = { statsReset: new Date(0), dealloc: 0 }
  let last: LastCounted = { now: new Date(0), reading: null, statements: [] }
  let [ran, wasReset] = [0, false]
  const anew = new Set<number>()
  const read = () => {
    const now = [...entries].map(([entry, calls]) => counter(entry, calls))
    const { changed, missing } = difference(last, state, now)
    const knowable = [...entries].map(([entry, calls]) => {
      const had = before.get(entry) ?? 0
      return wasReset || (anew.has(entry) && calls < had) ? calls : calls - had
    })
    if (last.reading)
      windows.push({
        ran,
        knowable: knowable.reduce((sum, calls) => sum + calls, 0),
        counted: changed.reduce((sum, { rose }) => sum + (rose?.calls ?? 0), 0),
        missing: missing.length > 0,
      })
    // As the ledger keeps them: those that are gone stand at 0, and nobody is forgotten.
    const kept = new Map(last.statements.map(one => [one.queryid, one]))
    for (const one of changed) kept.set(one.queryid, { ...one, id: one.id ?? Number(one.queryid) })
    last = { now: new Date(), reading: { ...state, at: new Date() }, statements: [...kept.values()] }
    before = new Map(entries)
    ;[ran, wasReset] = [0, false]
    anew.clear()
  }
  for (const one of [{ does: 'read' as const }, ...steps, { does: 'read' as const }]) {
    if (one.does === 'read') read()
    else if (one.does === 'run') {
      entries.set(one.entry, (entries.get(one.entry) ?? 0) + one.calls)
      ran += one.calls
    } else if (one.does === 'reset') {
      entries.clear()
      wasReset = true
      state = { statsReset: new Date((state.statsReset?.getTime() ?? 0) + 1), dealloc: 0 }
    } else if (entries.delete(one.entry)) {
      anew.add(one.entry)
      state = { ...state, dealloc: state.dealloc + 1 }
    }
  }
  return windows
}

const zero: Counters = { calls: 0, totalMs: 0, rows: 0, hit: 0, read: 0, dirtied: 0, temp: 0, wal: 0 }
const counter = (entry: number, calls: number): Counted => ({
  ...zero,
  calls,
  maxMs: 0,
  queryid: String(entry),
  toplevel: true,
  userid: '10',
  dbid: '5',
})
