// The verbs of a run against a real ledger: who may begin, who holds what, and what a lost attempt leaves behind.
import { randomUUID } from 'node:crypto'
import {
  bear,
  type Claim,
  claim,
  dispatch,
  end,
  endWaiting,
  evicted,
  expired,
  explainWaits,
  find,
  heartbeat,
  heldLocks,
  historyOf,
  lose,
  park,
  type Run,
  reaperRests,
  requeue,
  saveState,
  skip,
  succeedByAdoption,
  unclaimed,
} from '@dbops/ledger/runs'
import { birth } from '@dbops/testing/birth'
import { until } from '@dbops/testing/until'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { bearAll, freshLedger, type TestLedger } from './ledger-harness.ts'

let ledger: TestLedger
let close: () => Promise<void>
beforeAll(async () => void ({ ledger, close } = await freshLedger()))
afterAll(() => close())
afterEach(() => ledger.query('truncate runs, run_locks, history, lost_fences, outbox cascade'))

test('a slot is born once, however many schedulers see it fall due', async () => {
  const slot = new Date('2026-01-01T00:00:00Z')
  const born = await Promise.all(Array.from({ length: 8 }, () => bear(ledger, birth({ schedule: 's', slot }))))
  expect(born.filter(Boolean)).toHaveLength(1)
})

test('of three runs that want one lock, only the oldest is sent out, and the others say what they wait for', async () => {
  const [first, second, third] = await bearAll(ledger, exclusive('x'), exclusive('x'), exclusive('x'))
  expect(await sentOut()).toEqual([first])
  await explainWaits(ledger)
  const waits = await Promise.all([second, third].map(async id => (await run(id!)).waitingFor))
  expect(waits).toEqual([`lock x, after ${first!.slice(-8)}`, expect.stringMatching(/^lock x, after /)])
})

test('waiters for a lock go in order, one after the end of the other', async () => {
  const ids = await bearAll(ledger, exclusive('x'), exclusive('x'), exclusive('x'))
  const order: string[] = []
  for (let i = 0; i < 3; i++) {
    const [sent] = await sentOut()
    order.push(sent!)
    const taken = await take(sent!)
    await finish(taken.fence!)
  }
  expect(order).toEqual(ids)
})

test('shared holders of a lock run together, and an exclusive one waits for all of them', async () => {
  const shared = { locks: [{ name: 't', exclusive: false }] }
  const [a, b, c] = await bearAll(ledger, shared, shared, exclusive('t'))
  expect([await sentOut(), await isWaiting(c!)]).toEqual([[a, b], true])
})

test('a later shared wish does not overtake an exclusive one that waits', async () => {
  const shared = { locks: [{ name: 't', exclusive: false }] }
  const [a] = await bearAll(ledger, shared)
  await sentOut()
  await take(a!)
  await bearAll(ledger, exclusive('t'), shared)
  expect(await sentOut()).toEqual([])
})

test('a target takes no more runs of a lane than its cap', async () => {
  const ids = await bearAll(ledger, {}, {}, {}, { target: 'other' }, { lane: 'light' })
  expect(await sentOut()).toEqual([ids[0], ids[1], ids[3], ids[4]])
})

test('priority goes before age', async () => {
  const [, urgent] = await bearAll(ledger, exclusive('x'), { ...exclusive('x'), priority: 9 })
  expect(await sentOut()).toEqual([urgent])
})

test('two workers that get the same job: one has the run, the other is told that it is stale', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  const claims = await Promise.all([claimOf(id!), claimOf(id!)])
  expect(claims.map(c => c.kind).sort()).toEqual(['claimed', 'stale'])
})

test('a repeated claim of the same delivery, whose reply was lost, gets the same fence', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  const key = randomUUID()
  const [first, again] = [await claimOf(id!, 0, key), await claimOf(id!, 0, key)]
  expect(again).toMatchObject({ kind: 'claimed', run: { fence: (first as Claimed).run.fence, attempt: 1 } })
})

test('the job of an earlier dispatch is stale: a run that waits for its retry keeps its back-off', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  const taken = await take(id!)
  await requeue(ledger, { fence: taken.fence!, after: 60_000, as: 'retry' })
  expect([await claimOf(id!, 0), await claimOf(id!, 1)]).toEqual([{ kind: 'stale' }, { kind: 'stale' }])
})

test('a claim finds the lock held after all: back in the queue, and no attempt is burnt', async () => {
  const [holder, other] = await bearAll(ledger, exclusive('x'), { ...exclusive('x'), notBefore: new Date(Date.now() + 60_000) })
  await sentOut()
  await take(holder!)
  await ledger.query('update runs set dispatched_at = now(), not_before = now() where id = $1', [other])
  const answer = await claimOf(other!)
  expect([answer.kind, await run(other!)]).toMatchObject([
    'waits',
    { state: 'queued', attempt: 0, dispatch: 1, waitingFor: `lock x, held by ${holder!.slice(-8)}` },
  ])
})

test('a heartbeat answers only for fences that still run, and brings a cancellation', async () => {
  const [a, b] = await bearAll(ledger, {}, {})
  await sentOut()
  const [first, second] = [await take(a!), await take(b!)]
  await finish(first.fence!)
  await ledger.query('update runs set cancel_asked = now(), cancel_actor = $2 where id = $1', [b, 'ada'])
  expect(await heartbeat(ledger, [first.fence!, second.fence!], 30_000)).toMatchObject([{ fence: second.fence, cancelActor: 'ada' }])
})

test('a lease is not renewed past the attempt’s timeout and two leases', async () => {
  const [id] = await bearAll(ledger, { timeoutMs: 1_000 })
  await sentOut()
  const taken = await take(id!)
  await ledger.query(`update runs set attempt_at = now() - interval '62 seconds' where id = $1`, [id])
  expect(await heartbeat(ledger, [taken.fence!], 30_000)).toEqual([])
})

test('an end is written once: the same again says already, an older fence says superseded', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  const lost = await take(id!)
  await expire(id!)
  await loseTo(lost, { to: 'queued', after: 0, error: { code: 'lost', message: 'lost' } })
  await sentOut()
  const taken = await take(id!, 1)
  const ends = [await finish(lost.fence!), await finish(taken.fence!), await finish(taken.fence!)]
  expect(ends).toEqual(['superseded', 'ended', 'already'])
})

test('the fence of a lost attempt is handed to the next claim on that target until it is struck off', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  const lost = await take(id!)
  await expire(id!)
  await loseTo(lost, { to: 'queued', after: 0, error: { code: 'lost', message: 'lost' } })
  await sentOut()
  const again = (await claimOf(id!, 1)) as Claimed
  await evicted(ledger, 'core', again.lostFences)
  await bearAll(ledger, {})
  const [next] = await sentOut()
  expect([again.lostFences, ((await claimOf(next!)) as Claimed).lostFences]).toEqual([[lost.fence], []])
})

test('a lost attempt of a task that recovers hands its locks to the recovery, and the run queues behind it', async () => {
  const [id] = await bearAll(ledger, { ...exclusive('w'), recovers: true })
  await sentOut()
  const lost = await take(id!)
  await expire(id!)
  await loseTo(lost, { to: 'queued', after: 0, error: { code: 'lost', message: 'lost' } })
  const [recovery] = await sentOut()
  const locks = await heldLocks(ledger, recovery!)
  const blocked = await isWaiting(id!)
  const recovering = await take(recovery!)
  await finish(recovering.fence!)
  expect([locks, blocked, (await run(recovery!)).mode, await sentOut()]).toEqual([[{ name: 'w', exclusive: true }], true, 'recover', [id]])
})

test('the last attempt of a task that recovers is lost: the run waits for its recovery, and a cancellation meanwhile only changes how it will end', async () => {
  const [id] = await bearAll(ledger, { ...exclusive('w'), recovers: true, attempts: 1 })
  await sentOut()
  const lost = await take(id!)
  await expire(id!)
  await loseTo(lost, { to: 'failed', error: { code: 'lost', message: 'lost' } })
  const before = await run(id!)
  await ledger.transaction(db => endWaiting(db, before, 'cancelled', { code: 'cancelled', message: 'by ada' }, []))
  const after = await run(id!)
  expect([before.state, before.verdict?.state, after.state, after.verdict?.state]).toEqual(['queued', 'failed', 'queued', 'cancelled'])
})

test('a recovery keeps its locks when its own attempt is lost', async () => {
  const [id] = await bearAll(ledger, { ...exclusive('w'), recovers: true })
  await sentOut()
  const lost = await take(id!)
  await expire(id!)
  await loseTo(lost, { to: 'queued', after: 0, error: { code: 'lost', message: 'lost' } })
  const [recovery] = await sentOut()
  const recovering = await take(recovery!)
  await expire(recovery!)
  await loseTo(recovering, { to: 'queued', after: 0, error: { code: 'lost', message: 'lost' } })
  expect([await heldLocks(ledger, recovery!), await sentOut()]).toEqual([[{ name: 'w', exclusive: true }], [recovery]])
})

test('a run that is parked keeps its locks and gives its attempt back; woken, it goes on with its state', async () => {
  const [id, waiter] = await bearAll(ledger, exclusive('x'), exclusive('x'))
  await sentOut()
  const taken = await take(id!)
  await park(ledger, taken.fence!, new Date(Date.now() - 1), { step: 2 })
  const locks = await heldLocks(ledger, id!)
  const sent = await sentOut()
  const again = await take(id!, 1)
  expect([locks.length, sent, again.attempt, again.stateKept, await isWaiting(waiter!)]).toEqual([1, [id], 1, { step: 2 }, true])
})

test('a recovery that finds sealed work makes the waiting run succeed, once', async () => {
  const [id] = await bearAll(ledger, {})
  expect([
    await succeedByAdoption(ledger, id!, { rows: 1 }, {}),
    await succeedByAdoption(ledger, id!, { rows: 2 }, {}),
    (await run(id!)).result,
  ]).toEqual([true, false, { rows: 1 }])
})

test('state is kept only under the living fence', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  const taken = await take(id!)
  expect([await saveState(ledger, taken.fence!, { n: 1 }), await saveState(ledger, taken.fence! + 1, { n: 2 })]).toEqual([true, false])
})

test('skipped slots that follow one another for one reason are one row', async () => {
  const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second))
  const base = { schedule: 's', target: 'core', task: 'pg.test', engine: 'pg', lane: 'heavy', operation: 'pg.test', reason: 'paused' }
  for (let second = 0; second < 60; second++)
    await skip(ledger, { ...base, from: at(second), to: at(second), slots: 1 }, { code: 'paused', message: 'paused by ada' })
  const { rows } = await ledger.query('select slots, slot, slot_to from runs')
  expect(rows).toEqual([{ slots: 60, slot: at(0), slot_to: at(59) }])
})

test('a job that nobody claimed is offered again, once per period', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  await ledger.query(`update runs set offered_at = now() - interval '11 seconds'`)
  expect([(await unclaimed(ledger, 10_000)).map(r => r.id), await unclaimed(ledger, 10_000)]).toEqual([[id], []])
})

test('a pass of the reaper that comes late lets everybody rest for a lease', async () => {
  await ledger.query('update reaper set passed_at = clock_timestamp(), rest_until = now()')
  await reaperRests(ledger, 5_000, 30_000)
  const inTime = await reaperRests(ledger, 5_000, 30_000)
  await ledger.query(`update reaper set passed_at = now() - interval '11 seconds'`)
  const late = [await reaperRests(ledger, 5_000, 30_000), await reaperRests(ledger, 5_000, 30_000)]
  await ledger.query(`update reaper set rest_until = now()`)
  expect([inTime, late]).toEqual([false, [true, true]])
})

test('ending a run that waits frees what it wanted and tells of it once', async () => {
  const [id] = await bearAll(ledger, exclusive('x'))
  const waiting = await run(id!)
  const ends = await Promise.all([1, 2].map(() => ledger.transaction(db => endWaiting(db, waiting, 'cancelled', null, []))))
  const { rows } = await ledger.query('select count(*)::int as locks from run_locks')
  expect([ends.toSorted((a, b) => Number(a) - Number(b)), rows]).toEqual([[false, true], [{ locks: 0 }]])
})

test('everything that happens to a run leaves its row in the history', async () => {
  const [id] = await bearAll(ledger, {})
  await sentOut()
  const taken = await take(id!)
  await requeue(ledger, { fence: taken.fence!, after: 0, as: 'retry' })
  await sentOut()
  await finish((await take(id!, 1)).fence!)
  const history = await historyOf(ledger, id!)
  expect(history.map(row => row.event)).toEqual(['born', 'dispatched', 'claimed', 'retry', 'dispatched', 'claimed', 'succeeded'])
})

// Each look for a blocker once read all who want the lock: ten thousand of them took longer than a statement may.
test('ten thousand runs of one target hold up no other target, and of those that want one lock alone the first goes', async () => {
  await ledger.query(flood, [10_000])
  const [other] = await bearAll(ledger, { target: 'other' })
  const sent = await sentOut()
  expect(sent).toContain(other)
  expect(sent).toHaveLength(2)
  await explainWaits(ledger)
  const { rows } = await ledger.query<{ why: string }>(
    `select distinct waiting_for as why from runs where waiting_for is not null and dispatched_at is null`,
  )
  expect(rows).toEqual([{ why: `lock x, after ${sent.find(id => id !== other)!.slice(-8)}` }])
})

test('a run behind thousands that wait for one lock begins when it needs another', async () => {
  await ledger.query(flood, [2_000])
  const [first] = await sentOut()
  const [behind] = await bearAll(ledger, { ...exclusive('y'), priority: 1 })
  expect([first, await sentOut()]).toEqual([expect.any(String), [behind]])
})

test('what one target has waiting takes no place in the queue from another', async () => {
  await ledger.query(flood, [300])
  await ledger.query('update run_locks set exclusive = false')
  const [other] = await bearAll(ledger, { target: 'other' })
  expect(await sentOut(3)).toContain(other)
})

test('only one dispatcher works at a time, and the other does not wait', async () => {
  const answer = await ledger.transaction(async db => {
    await dispatch(db, 200, () => ({ verdict: 'allow' }))
    return ledger.transaction(other => dispatch(other, 200, () => ({ verdict: 'allow' })))
  })
  expect(answer).toBeNull()
})

test('a policy that says wait puts the run off and says why', async () => {
  const [id] = await bearAll(ledger, {})
  const opens = new Date(Date.now() + 60_000)
  await ledger.transaction(db =>
    dispatch(db, 200, () => ({ verdict: 'wait', until: opens, reason: 'window "night" opens', rule: 'window' })),
  )
  expect(await run(id!)).toMatchObject({ state: 'queued', waitingFor: 'window "night" opens', notBefore: opens })
})

type Claimed = Extract<Claim, { kind: 'claimed' }>
// So many that wait on `core`, each for the lock x alone.
const flood = `
  with born as (
    insert into runs (id, task, engine, lane, target, mode, state, cause, actor, operation, valid_until, attempts, retry, backoff_ms, timeout_ms)
    select gen_random_uuid(), 'pg.test', 'pg', 'heavy', 'core', 'do', 'queued', '{}', 'tester', 'pg.test', now() + interval '1 day', 3, 'restart', 0, 600000
    from generate_series(1, $1::int) returning id, target
  )
  insert into run_locks (target, name, run, exclusive) select target, 'x', id, true from born`
const exclusive = (name: string) => ({ locks: [{ name, exclusive: true }] })
const run = async (id: string): Promise<Run> => (await find(ledger, id))[0]!
const sentOut = async (perQueue = 200): Promise<string[]> =>
  (await ledger.transaction(db => dispatch(db, perQueue, () => ({ verdict: 'allow' }))))!.sent.map(r => r.id)
const isWaiting = async (id: string): Promise<boolean> => {
  const found = await run(id)
  return found.state === 'queued' && found.dispatchedAt === null
}
const claimOf = (id: string, number = 0, key: string = randomUUID()): Promise<Claim> =>
  ledger.transaction(db => claim(db, { run: id, dispatch: number, key, worker: 'w', tasks: ['pg.test'], leaseMs: 30_000 }))
async function take(id: string, number = 0): Promise<Run> {
  const answer = await claimOf(id, number)
  if (answer.kind !== 'claimed') throw new Error(`expected to claim ${id}: ${JSON.stringify(answer)}`)
  return answer.run
}
const finish = (fence: number) => ledger.transaction(db => end(db, { fence, state: 'succeeded', result: {}, events: [] }))
const expire = (id: string) => ledger.query(`update runs set lease_until = now() - interval '1 second' where id = $1`, [id])
async function loseTo(lost: Run, fate: Parameters<typeof lose>[2]): Promise<void> {
  await ledger.transaction(async db => {
    const found = (await expired(db, 60_000)).find(r => r.id === lost.id)
    await lose(db, found!, fate, [])
  })
  await until('the run is out of the dead hands', async () => (await run(lost.id)).state !== 'running')
}
