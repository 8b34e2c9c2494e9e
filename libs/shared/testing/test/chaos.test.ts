// The short chaos run of the suite. Longer ones: ./dbops chaos --minutes 10, with results in bench/README.md.
import { describeFault, faultKinds, planFaults } from '@dbops/testing/chaos/faults'
import { runChaos } from '@dbops/testing/chaos/run-chaos'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'

const names = {
  processes: [
    { name: 'scheduler-1', servers: ['ledger' as const, 'redis' as const] },
    { name: 'pg-maintainer-1', servers: ['ledger' as const, 'redis' as const, 'target' as const] },
  ],
}
const plan = (seed: number, duration = 600_000) => planFaults({ seed, duration, every: 1_000, without: [], names })

test('the same seed plans the same faults, another seed others', () => {
  expect([plan(1), plan(2)].map(faults => JSON.stringify(faults) === JSON.stringify(plan(1)))).toEqual([true, false])
})

test('every kind of fault comes in an hour', () => {
  expect(new Set(plan(3, 3_600_000).map(fault => fault.kind))).toEqual(new Set(faultKinds))
})

test('faults of one part never come together, and all are over before the end', () => {
  const parts = [['flushall', 'redis-'], ['ledger-'], ['sink'], ['store-full']]
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), seed => {
      const faults = plan(seed, 120_000)
      const last = Math.max(...faults.map(({ at, lasts }) => at + lasts))
      const together = parts.flatMap(part => {
        const some = faults.filter(({ kind }) => part.some(name => kind.startsWith(name)))
        return some.filter((fault, i) => some.slice(0, i).some(other => fault.at < other.at + other.lasts))
      })
      return last <= 115_000 && together.length === 0
    }),
    { numRuns: 200, seed: 1 },
  )
})

test('under kills, cuts, lost replies, an emptied Redis and a ledger that crashes nothing is lost and nothing done twice', {
  timeout: 360_000,
}, async () => {
  const said: string[] = []
  const report = await runChaos({ minutes: 0.75, seed: 1, every: 900, say: line => void said.push(line) })
  expect({ violations: report.violations.slice(0, 10), ...(report.violations.length ? { said } : {}) }).toEqual({ violations: [] })
  const { runs = 0, slots = 0, events = 0 } = report.counts
  expect([Object.keys(report.faults).length > 8, runs > 50, slots > 40, events > 50]).toEqual([true, true, true, true])
})

test('a fault is one line', () => {
  expect(describeFault({ kind: 'black-hole', at: 1_500, lasts: 2_000, who: 'scheduler-1', server: 'redis' })).toBe(
    '   1.5 s  black-hole scheduler-1 to redis for 2.0 s',
  )
})
