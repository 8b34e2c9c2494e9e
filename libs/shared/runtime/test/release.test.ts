// `locks release`: a run is taken from whoever has it in hand, by a person who says why.
import { deedsOf } from '@dbops/ledger/audit'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { bear, claim, dispatch, end, find, heldLocks } from '@dbops/ledger/runs'
import { saveTargets } from '@dbops/ledger/schedules'
import { carryOut } from '@dbops/runtime/deeds'
import { tellerOf } from '@dbops/runtime/run-events'
import { birth } from '@dbops/testing/birth'
import { freshDatabase } from '@dbops/testing/database'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'

let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
beforeAll(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  await saveTargets(ledger, [{ name: 'core', engine: 'pg', heavy: 2, light: 4, labels: {} }])
})
afterAll(async () => {
  await ledger.close()
  await database.drop()
})

const release = (run: string, force = false) =>
  ledger.transaction(db =>
    carryOut(db, 'release', { run, reason: 'the host is gone', force }, { actor: 'anna', teller: tellerOf('cli', 'test') }),
  )
/** A run in the hands of a process that was heard of just now, or not for longer than a lease. */
async function inHand({ isFresh }: { isFresh: boolean }) {
  const b = birth({ locks: [{ name: uuidv7(), exclusive: true }] })
  await bear(ledger, b)
  await ledger.transaction(db => dispatch(db, 10, () => ({ verdict: 'allow' })))
  const { dispatch: n } = (await find(ledger, b.id))[0]!
  await ledger.transaction(db =>
    claim(db, { run: b.id, dispatch: n, key: uuidv7(), worker: 'pg-maintainer@gone:1', tasks: [b.task], leaseMs: 30_000 }),
  )
  if (!isFresh) await ledger.query(`update runs set lease_until = now() - interval '1 s' where id = $1`, [b.id])
  return (await find(ledger, b.id))[0]!
}

test('a run whose process was not heard of within its lease ends as failed, its locks are free, and its sessions are to be ended', async () => {
  const { id, fence } = await inHand({ isFresh: false })
  const { done } = await release(id)
  const [run] = await find(ledger, id)
  const { rows: lost } = await ledger.query('select fence::int from lost_fences')
  const { rows: told } = await ledger.query(`select from outbox where ce ->> 'runid' = $1`, [id])
  const deeds = await deedsOf(ledger, id)
  expect([
    done,
    run!.state,
    run!.error?.code,
    (await heldLocks(ledger, id)).length,
    lost,
    told.length,
    deeds.map(one => [one.actor, one.action]),
  ]).toEqual([true, 'failed', 'released_by_hand', 0, [{ fence }], 1, [['anna', 'release']]])
})

test('one that was heard of is left to it, unless it is forced; what it says afterwards is not taken', async () => {
  const { id, fence } = await inHand({ isFresh: true })
  await expect(release(id)).rejects.toThrow(/is in the hands of pg-maintainer@gone:1, whose lease is fresh/)
  const { done } = await release(id, true)
  const late = await ledger.transaction(db => end(db, { fence: fence!, state: 'succeeded', events: [] }))
  expect([done, late, (await find(ledger, id))[0]!.state]).toEqual([true, 'already', 'failed'])
})

test('a run that is in nobody’s hand is not released', async () => {
  const b = birth({ locks: [] })
  await bear(ledger, b)
  expect(await release(b.id)).toEqual({ done: false })
})
