// What counts as too much, and what of it is written down and told: on figures as the watch finds them, and a real ledger.
import { overloadsStanding } from '@dbops/ledger/findings'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { tellerOf } from '@dbops/runtime/run-events'
import { freshDatabase } from '@dbops/testing/database'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Load, overloads, watchOverload } from '../src/overload.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
beforeAll(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test' })
})
afterAll(async () => {
  await ledger.close()
  await database.drop()
})

const now = new Date('2026-01-01T00:10:00Z')
const idle: Load = {
  now,
  queues: [],
  outbox: { due: 0, oldest: null },
  readers: [],
  redis: { used: 10 * 2 ** 20, limit: 0, policy: 'noeviction' },
  answers: [{ service: 'scheduler@a:1', ms: 3 }],
}
const busy: Load = {
  now,
  queues: [{ engine: 'pg', lane: 'heavy', waiting: 5_000, running: 2, oldest: new Date('2026-01-01T00:00:00Z') }],
  outbox: { due: 50_000, oldest: new Date('2026-01-01T00:09:00Z') },
  readers: [{ reader: 'reporting', behind: 50_000 }],
  redis: { used: 64 * 2 ** 20, limit: 64 * 2 ** 20, policy: 'noeviction' },
  answers: [
    { service: 'scheduler@a:1', ms: 200 },
    { service: 'alert-relay@a:2', ms: 401 },
  ],
}
const half: Load = {
  ...busy,
  queues: [{ ...busy.queues[0]!, waiting: 600 }],
  outbox: { due: 6_000, oldest: null },
  readers: [{ reader: 'reporting', behind: 6_000 }],
  redis: { ...busy.redis!, used: 54 * 2 ** 20 },
  answers: [{ service: 'scheduler@a:1', ms: 100 }],
}
const keys = ['queue pg-heavy', 'outbox', 'reader reporting', 'redis', 'ledger']

test('each kind of too much is said with its figures', () => {
  expect(overloads(busy, new Set()).map(({ level, what }) => `${level}: ${what}`)).toEqual([
    'warning: 5000 runs wait for pg-heavy, the oldest for 10m; 2 are at work',
    'warning: 50000 events are not in the stream yet, the oldest for 1m',
    'warning: reader reporting is 50000 events behind',
    'error: the operations Redis uses 64.0 of its 64.0 MiB',
    'warning: the ledger takes 401 ms to answer alert-relay@a:2',
  ])
})

test('what has fallen below its limit stands until it is well below, and is not found anew', () => {
  const found = [overloads(idle, new Set()), overloads(half, new Set()), overloads(half, new Set(keys)), overloads(idle, new Set(keys))]
  expect(found.map(faults => faults.map(({ key }) => key))).toEqual([[], [], keys, []])
})

test('it is told when it begins and when it is over, once each, by whichever scheduler looks', async () => {
  const service = { ledger, log: { warn: () => undefined, info: () => undefined }, ...tellerOf('scheduler', 'dev') } as never
  for (const load of [idle, busy, half]) await watchOverload(service, load)
  const standing = (await overloadsStanding(ledger)).map(({ key }) => key)
  for (const load of [idle, idle]) await watchOverload(service, load)
  const { rows } = await ledger.query<{ told: string }>(`select event || ' ' || (ce ->> 'operation') as told from outbox order by n`)
  expect([standing.toSorted(), rows.map(({ told }) => told).toSorted(), await overloadsStanding(ledger)]).toEqual([
    keys.toSorted(),
    ['overload_began', 'overload_ended'].flatMap(event => keys.map(key => `${event} overload:${key}`)).toSorted(),
    [],
  ])
})
