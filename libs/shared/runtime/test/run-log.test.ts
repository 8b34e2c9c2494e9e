// Lines of a run while the ledger does not answer: the newest are kept, not all of them.
import type { Ledger } from '@dbops/ledger/ledger'
import { openRunLog } from '@dbops/runtime/run-log'
import { until } from '@dbops/testing/until'
import { expect, test } from 'vitest'

test('a ledger that takes no answer for long keeps a talkative run from filling the memory', async () => {
  const sent: number[] = []
  let answer: () => void = () => undefined
  const silent = new Promise<{ rows: []; rowCount: 0 }>(resolve => (answer = () => resolve({ rows: [], rowCount: 0 })))
  const ledger = {
    query: (_: string, [, lines]: unknown[]) => {
      if (typeof lines === 'string') sent.push((JSON.parse(lines) as unknown[]).length)
      return silent
    },
  } as unknown as Ledger
  const log = openRunLog(ledger, 'a run', 0)
  let said = 0
  await until(
    'it has said a lot',
    () => {
      for (let i = 0; i < 100; i++) log.add('info', `line ${said++}`)
      return said >= 6_000
    },
    { every: 40 },
  )
  answer()
  await log.flush()
  expect(sent.reduce((sum, count) => sum + count)).toBeLessThanOrEqual(1_500)
})
