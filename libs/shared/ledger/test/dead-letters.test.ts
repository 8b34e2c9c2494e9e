// Dead letters in the ledger: what waits, in which order it goes out again, and what a new row of the outbox is made of.
import { anEvent } from '@dbops/testing/an-event'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { deadLettersByReader, dropLetter, listDeadLetters, replay, replayable, setAside } from '../src/dead-letters.ts'
import { freshLedger, type TestLedger } from './ledger-harness.ts'

let ledger: TestLedger
let close: () => Promise<void>
beforeAll(async () => {
  ;({ ledger, close } = await freshLedger())
})
afterAll(() => close())
beforeEach(() => ledger.query('truncate dead_letters, outbox'))

/** Set aside one after the other, each a minute after the one before. */
async function letters(...kinds: ('event' | 'poison')[]) {
  const ids: string[] = []
  for (const [i, kind] of kinds.entries()) {
    const event = anEvent()
    await setAside(ledger, {
      reader: i % 2 ? 'odd' : 'even',
      entry: `${i}-0`,
      reason: 'none',
      event: kind === 'event' ? event.id : null,
      ce: JSON.stringify(event),
    })
    const { rows } = await ledger.query<{ id: string }>(
      `update dead_letters set at = now() - interval '1 h' + $2 * interval '1 min' where entry = $1 returning id`,
      [`${i}-0`, i],
    )
    ids.push(rows[0]!.id)
  }
  return ids
}
const ids = (all: { id: string }[]) => all.map(({ id }) => id)

test('what can go out again comes in the order in which it was set aside, without what is no event and what went out before', async () => {
  const [first, poison, third, fourth] = await letters('event', 'poison', 'event', 'event')
  await ledger.transaction(db => replay(db, third!, 'anna'))
  expect([
    ids(await replayable(ledger, { limit: 10 })),
    ids(await replayable(ledger, { reader: 'odd', limit: 10 })),
    ids(await replayable(ledger, { limit: 1 })),
    ids(await listDeadLetters(ledger, { limit: 10 })),
    await deadLettersByReader(ledger),
  ]).toEqual([
    [first, fourth],
    [fourth],
    [first],
    [fourth, poison, first],
    [
      { reader: 'even', waiting: 1 },
      { reader: 'odd', waiting: 2 },
    ],
  ])
})

test('what the outbox has forgotten goes out again in the order in which it is let go', async () => {
  const [first, second] = await letters('event', 'event')
  for (const id of ids(await replayable(ledger, { limit: 10 }))) await ledger.transaction(db => replay(db, id, 'anna'))
  const { rows } = await ledger.query(`select d.id from outbox o join dead_letters d on d.event = o.id where o.ord is null order by o.n`)
  expect(ids(rows as { id: string }[])).toEqual([first, second])
})

test('what was dropped waits no longer, does not go out again, and is kept with its reason', async () => {
  const [first, second] = await letters('event', 'event')
  const done = [await dropLetter(ledger, first!, 'anna', 'a test'), await dropLetter(ledger, first!, 'ben', 'again')]
  const again = await ledger.transaction(db => replay(db, first!, 'anna'))
  expect([done, again, ids(await replayable(ledger, { limit: 10 })), await deadLettersByReader(ledger)]).toEqual([
    [true, false],
    false,
    [second],
    [{ reader: 'odd', waiting: 1 }],
  ])
  expect((await listDeadLetters(ledger, { limit: 10, all: true }))[1]).toMatchObject({
    id: first,
    droppedBy: 'anna',
    droppedReason: 'a test',
  })
})

test('twice set aside, it is there once', async () => {
  const letter = { reader: 'even', entry: '1-0', reason: 'none', event: null, ce: '' }
  await setAside(ledger, letter)
  await setAside(ledger, letter)
  expect((await listDeadLetters(ledger, { limit: 10 })).length).toBe(1)
})
