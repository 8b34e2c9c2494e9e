// The life of findings in the ledger: what is written for what is found, what ends without being looked at, and what is forgotten.
import type { Fault } from '@dbops/contract/task'
import { acknowledge, endOrphans, listFindings, saveFindings, trimFindings } from '@dbops/ledger/findings'
import { saveTargets } from '@dbops/ledger/schedules'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { freshLedger, type TestLedger } from './ledger-harness.ts'

let ledger: TestLedger
let close: () => Promise<void>
beforeAll(async () => void ({ ledger, close } = await freshLedger()))
afterEach(() => ledger.query('truncate findings'))
afterAll(() => close())

const fault = (key: string, more: Partial<Fault> = {}): Fault => ({ key, level: 'warning', what: `${key} is wrong`, ...more })

test('each reading answers what is new in it, what came back, and what is gone', async () => {
  const told = []
  for (const keys of [['a', 'b'], ['b', 'c'], ['a'], []]) told.push(await find(...keys))
  expect(told).toEqual([
    { opened: ['a', 'b'], gone: [] },
    { opened: ['c'], gone: ['a'] },
    { opened: ['a'], gone: ['b', 'c'] },
    { opened: [], gone: ['a'] },
  ])
})

test('a key that is found twice in one reading is one finding, as it was said last', async () => {
  await ledger.transaction(db => saveFindings(db, place, [fault('a'), fault('a', { level: 'error' })]))
  expect((await listFindings(ledger, { limit: 5 })).map(({ key, level }) => [key, level])).toEqual([['a', 'error']])
})

test('it keeps the time of its first sighting, and counts how often it came', async () => {
  await find('a')
  const [first] = await listFindings(ledger, { limit: 1 })
  await find()
  await find('a')
  const [again] = await listFindings(ledger, { limit: 1 })
  expect([again!.firstSeen, again!.times, again!.since > first!.since, again!.goneAt]).toEqual([first!.firstSeen, 2, true, null])
})

test('what is gone cannot be acknowledged, and what is acknowledged stands', async () => {
  await find('a')
  const [{ id }] = (await listFindings(ledger, { limit: 1 })) as { id: string }[] as [{ id: string }]
  const known = await ledger.transaction(db => acknowledge(db, id, 'kim', 'on Sunday'))
  const standing = (await listFindings(ledger, { state: 'standing', limit: 5 })).map(({ state, note }) => `${state}: ${note}`)
  await find()
  expect([known, standing, await ledger.transaction(db => acknowledge(db, id, 'kim', null))]).toEqual([
    true,
    ['acknowledged: on Sunday'],
    false,
  ])
})

test('what stands on a target that has left the configuration ends, and is told with its engine; the rest stands', async () => {
  await find('a')
  await ledger.transaction(db => saveFindings(db, { target: 'other', source: 'pg.tables' }, [fault('b')]))
  const core = { name: 'core', engine: 'pg' as const, heavy: 2, light: 4, labels: {} }
  await saveTargets(ledger, [core])
  try {
    const ended = [await endOrphans(ledger), await endOrphans(ledger)].map(all =>
      all.map(({ target, key, engine, state }) => [target, key, engine, state]),
    )
    const standing = (await listFindings(ledger, { state: 'standing', limit: 5 })).map(({ key }) => key)
    expect([ended, standing]).toEqual([[[['other', 'b', 'pg', 'gone']], []], ['a']])
  } finally {
    await saveTargets(ledger, [core, { ...core, name: 'other' }])
  }
})

test('what has been gone for long is forgotten, and what stands never', async () => {
  await find('gone long ago', 'gone just now', 'standing')
  await find('standing')
  await ledger.query(`update findings set gone_at = now() - interval '91 days' where key = 'gone long ago'`)
  await ledger.query(`update findings set first_seen = now() - interval '1 year', since = now() - interval '1 year' where key = 'standing'`)
  const forgotten = await trimFindings(ledger, new Date(Date.now() - 90 * 86_400_000))
  expect([forgotten, (await listFindings(ledger, { limit: 5 })).map(({ key }) => key).toSorted()]).toEqual([
    1,
    ['gone just now', 'standing'],
  ])
})

const place = { target: 'core', source: 'pg.tables' }
async function find(...keys: string[]) {
  const { opened, gone } = await ledger.transaction(db =>
    saveFindings(
      db,
      place,
      keys.map(key => fault(key)),
    ),
  )
  return { opened: opened.map(({ key }) => key), gone: gone.map(({ key }) => key).toSorted() }
}
