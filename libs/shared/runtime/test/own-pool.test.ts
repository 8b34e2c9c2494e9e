// Our own pool of sessions in the ledger, with one session that somebody keeps: who waits long is told, and the end of it too.
import { toEnvelope } from '@dbops/contract/envelope'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { watchOwnPool } from '@dbops/runtime/own-pool'
import type { Loop, Service } from '@dbops/runtime/service'
import { type FreshDatabase, freshDatabase } from '@dbops/testing/database'
import { until } from '@dbops/testing/until'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'

let database: FreshDatabase
let ledger: Ledger
beforeAll(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 1 })
  // Heard once when the session that listens is there: every service has it.
  await new Promise<void>(heard => ledger.listen('dbops_queued', () => heard()))
})
afterAll(async () => {
  await ledger.close()
  await database.drop()
})

test('callers that wait for a session are told once, while they wait, and once when nobody waits', async () => {
  const turn = watched(50)
  const letGo = Promise.withResolvers<void>()
  const held = ledger.transaction(() => letGo.promise)
  const waiting = ledger.query('select 1')
  await until('it was told', async () => {
    await turn()
    return (await told()).length > 0
  })
  for (let again = 0; again < 3; again++) await turn()
  const meanwhile = await told()
  letGo.resolve()
  await Promise.all([held, waiting])
  await turn()
  expect([meanwhile, await told()]).toEqual([['db_pool_exhausted'], ['db_pool_exhausted', 'db_pool_recovered']])
})

test('a wait that is over in time is told to nobody', async () => {
  const before = await told()
  const turn = watched(60_000)
  const letGo = Promise.withResolvers<void>()
  const held = ledger.transaction(() => letGo.promise)
  const waiting = ledger.query('select 1')
  await turn()
  letGo.resolve()
  await Promise.all([held, waiting])
  await turn()
  expect(await told()).toEqual(before)
})

/** One turn of the watch, when it is called. */
function watched(patience: number): () => Promise<unknown> {
  let loop: Loop | undefined
  const service = {
    app: 'scheduler',
    name: 'scheduler@test:1',
    ledger,
    log: { error: () => undefined, info: () => undefined },
    event: (fact: Parameters<Service['event']>[0]) =>
      toEnvelope({ id: uuidv7(), app: 'scheduler', at: new Date(), environment: 'test', ...fact }),
    loop: (one: Loop) => {
      loop = one
      return () => undefined
    },
  } as unknown as Service
  watchOwnPool(service, patience)
  return () => loop!.turn(() => undefined)
}

// Beside the pool, which has no session left.
const told = async () => (await ledger.apart.query<{ event: string }>('select event from outbox order by n')).rows.map(({ event }) => event)
