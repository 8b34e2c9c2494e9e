// The readings of probes: what the state was before, and since when it is what it is.
import { type Reading, saveReading } from '@dbops/ledger/probes'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshLedger, type TestLedger } from './ledger-harness.ts'

let ledger: TestLedger
let close: () => Promise<void>
beforeAll(async () => void ({ ledger, close } = await freshLedger()))
afterAll(() => close())

test('each reading is told the state before it, and the first one null', async () => {
  const states = ['ok', 'ok', 'failed', 'failed', 'ok'] as const
  expect(await takeAll('told', states)).toEqual([null, 'ok', 'ok', 'failed', 'failed'])
})

test('a state holds since its first reading, and a new one since its own', async () => {
  const since = []
  for (const state of ['failed', 'failed', 'ok'] as const) since.push((await take('since', state)).since.getTime())
  expect([since[1] === since[0], since[2]! > since[0]!]).toEqual([true, true])
})

test('a failed reading keeps the last numbers that there were', async () => {
  await take('kept', 'ok', { nodes: 3 })
  await take('kept', 'failed')
  const { rows } = await ledger.query(`select state, result from probes where probe = 'kept'`)
  expect(rows).toEqual([{ state: 'failed', result: { nodes: 3 } }])
})

async function takeAll(probe: string, states: readonly Reading['state'][]) {
  const told = []
  for (const state of states) told.push((await take(probe, state)).was)
  return told
}

const take = (probe: string, state: Reading['state'], result: Reading['result'] = null) =>
  ledger.transaction(db => saveReading(db, { target: 'core', probe, state, result, error: null, told: state === 'failed' }))
