// What a reader has set aside is told to somebody: once for each reader, until nothing of it waits.
import { dropLetter, listDeadLetters, replay, setAside } from '@dbops/ledger/dead-letters'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { tellerOf } from '@dbops/runtime/run-events'
import { anEvent } from '@dbops/testing/an-event'
import { freshDatabase } from '@dbops/testing/database'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tellDeadLetters } from '../src/dead-letters.ts'

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

const look = async () => {
  await tellDeadLetters({ ledger, ...tellerOf('scheduler', 'dev') })
  const { rows } = await ledger.query<{ told: string }>(
    `select event || ' ' || (ce ->> 'operation') || ': ' || (ce -> 'data' ->> 'what') as told from outbox where event like 'dead_letters%' order by n`,
  )
  return rows.map(({ told }) => told)
}
const put = async (reader: string, entry: string) => {
  const event = anEvent()
  await setAside(ledger, { reader, entry, reason: 'a test', event: event.id, ce: JSON.stringify(event) })
}

test('once when they come, however many follow, and once when none waits', async () => {
  const nothing = await look()
  await put('alert-relay', '1-1')
  const first = await look()
  await put('alert-relay', '1-2')
  await put('scheduler', '1-1')
  const second = await look()
  const letters = await listDeadLetters(ledger, { limit: 10 })
  await replay(ledger, letters.find(({ reader, entry }) => reader === 'alert-relay' && entry === '1-1')!.id, 'somebody')
  const third = await look()
  await dropLetter(
    ledger,
    letters.find(({ reader, entry }) => reader === 'alert-relay' && entry === '1-2')!.id,
    'somebody',
    'nothing is to be done',
  )
  const opened = 'dead_letters_waiting dead-letters:'
  const waiting = [
    `${opened}alert-relay: 1 entry that alert-relay could not take waits for somebody to look at`,
    `${opened}scheduler: 1 entry that scheduler could not take waits for somebody to look at`,
  ]
  expect([nothing, first, second, third, (await look()).slice(2).map(text => text.split(':').slice(0, 2).join(':'))]).toEqual([
    [],
    waiting.slice(0, 1),
    waiting,
    waiting,
    ['dead_letters_cleared dead-letters:alert-relay'],
  ])
})
