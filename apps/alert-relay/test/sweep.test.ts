import { sweepAlerts } from '@dbops/ledger/alerts'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { at, type Bench, openBench } from './relay-bench.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
beforeEach(() => bench.reset())
afterAll(() => bench.close())

test('what resolved long ago is forgotten with its notifications and decisions; what still fires stays', async () => {
  await bench.hear({ at: '05:00' })
  await bench.hear({ at: '05:00', operation: 'pg.dump:other' })
  await bench.hear({ at: '06:00', event: 'backup_completed' })
  await sweepAlerts(bench.ledger, at('06:01'))
  expect([await bench.written(), await count('episodes'), await count('decisions')]).toEqual([['ops firing 0'], 1, 0])
})

test('a success that was swept with its episode still ends what comes late', async () => {
  await bench.hear({ at: '05:00' })
  await bench.hear({ at: '06:00', event: 'backup_completed' })
  await sweepAlerts(bench.ledger, at('06:01'))
  expect(await bench.hear({ at: '05:30' }, '06:02')).toEqual(['already_resolved'])
})

const count = async (table: string) => (await bench.ledger.query<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]!.n
