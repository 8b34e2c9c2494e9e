// Faults between two statements: a session that ends, a holder that sleeps, a clock that jumped while a statement was under way.
import { setTimeout as sleep } from 'node:timers/promises'
import { ask, takeUp } from '@dbops/ledger/commands'
import { openLedger, type Queryable } from '@dbops/ledger/ledger'
import { savePosition } from '@dbops/ledger/outbox'
import * as runs from '@dbops/ledger/runs'
import { until } from '@dbops/testing/until'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bearAll, freshLedger, type TestLedger } from './ledger-harness.ts'

let ledger: TestLedger
let url: string
let close: () => Promise<void>
beforeAll(async () => {
  ;({ ledger, url, close } = await freshLedger())
})
afterAll(() => close())

const judge = () => ({ verdict: 'allow' }) as const
const send = () => ledger.transaction(db => runs.dispatch(db, 200, judge))
const take = (run: string, dispatch = 0, from = ledger) =>
  from.transaction(db => runs.claim(db, { run, dispatch, key: uuidv7(), worker: 'w', tasks: ['pg.test'], leaseMs: 30_000 }))
async function taken(run: string, dispatch = 0) {
  const claim = await take(run, dispatch)
  if (claim.kind !== 'claimed') throw new Error(claim.kind)
  return claim.run
}

test('a session that ends between two statements of a transaction fails that transaction, and nothing else', async () => {
  const work = ledger.transaction(async db => {
    const { rows } = await db.query<{ pid: number }>('select pg_backend_pid() as pid')
    await ledger.query('select pg_terminate_backend($1)', [rows[0]!.pid])
    await sleep(200)
    await db.query('select 1')
  })
  await expect(work).rejects.toThrow(/terminat|not queryable|connection/i)
})

test('a session that gave no answer in time is given to nobody else: it may still carry out what is on its way', async () => {
  const lone = await openLedger({ url, name: 'lone', sessions: 1 })
  let mute: number | undefined
  const work = lone.transaction(async db => {
    mute = await pidOf(db)
    throw new Error('Query read timeout') // as pg says it when its patience is over, while the server is only slow
  })
  await work.catch(() => undefined)
  const next = await pidOf(lone)
  await lone.close()
  expect(next).not.toBe(mute)
})
const pidOf = async (db: Queryable) => (await db.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid

test('a process that sleeps in the middle of a claim keeps nobody else from claiming on that target for long', async () => {
  const [asleep, next] = await bearAll(ledger, { target: 'core' }, { target: 'core' })
  await send()
  const sleeper = await openLedger({ url, name: 'sleeper', patience: 500 })
  const never = new AbortController()
  const frozen = sleeper.transaction(async db => {
    await runs.claim(db, { run: asleep!, dispatch: 0, key: uuidv7(), worker: 's', tasks: ['pg.test'], leaseMs: 30_000 })
    await sleep(600_000, undefined, { signal: never.signal })
  })
  frozen.catch(() => undefined)
  await until('it holds the target', async () => {
    const { rows } = await ledger.query(
      `select 1 from pg_stat_activity where state = 'idle in transaction' and application_name = 'dbops:sleeper' and datname = current_database()`,
    )
    return rows.length
  })
  const began = performance.now()
  const claim = await take(next!)
  never.abort()
  await frozen.catch(() => undefined)
  await sleeper.close()
  expect([claim.kind, performance.now() - began < 3_000]).toEqual(['claimed', true])
})

test('the second half of a pass of the reaper takes nothing away when the ledger stood still between the two', async () => {
  const [id] = await bearAll(ledger, { target: 'other' })
  await send()
  await taken(id!)
  await ledger.query(`update dbops.reaper set passed_at = now(), rest_until = now()`)
  expect(await runs.reaperRests(ledger, 500, 3_000)).toBe(false)
  // As after a minute in which the server was frozen: no heartbeat could be handled, and the pass was noted a minute ago.
  await ledger.query(`update reaper set passed_at = now() - interval '1 minute', rest_until = now() - interval '1 minute'`)
  await ledger.query(`update runs set lease_until = now() - interval '1 second' where id = $1`, [id])
  const lost = await ledger.transaction(db => runs.expired(db, 500))
  await ledger.query(`update reaper set passed_at = clock_timestamp(), rest_until = now()`)
  const really = await ledger.transaction(db => runs.expired(db, 500))
  expect([lost.map(run => run.id), really.map(run => run.id)]).toEqual([[], [id]])
})

test('a cancellation that was asked while the attempt failed ends the run that waits for its retry', async () => {
  const [id] = await bearAll(ledger, { target: 'other' })
  await send()
  const { fence } = await taken(id!)
  await runs.requestCancel(ledger, id!, 'ada')
  await runs.requeue(ledger, { fence: fence!, after: 600_000, as: 'retry' })
  const found = await ledger.transaction(db => runs.overdue(db))
  expect(found.map(run => run.id)).toEqual([id])
})

test('what a run waits for is not written on one that was claimed meanwhile', async () => {
  const [first, id] = await bearAll(
    ledger,
    { target: 'other', locks: [{ name: 'w', exclusive: true }] },
    { target: 'other', locks: [{ name: 'w', exclusive: true }] },
  )
  await send()
  const holder = await taken(first!)
  let explained: Promise<unknown> = Promise.resolve()
  await ledger.transaction(async db => {
    await db.query(`update runs set state = 'running', lease_until = now() + interval '1 hour' where id = $1`, [id])
    explained = runs.explainWaits(ledger)
    await until('it waits for the row', async () => {
      const { rows } = await ledger.query(`select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)
      return rows.length
    })
  })
  await explained
  const [run] = await runs.find(ledger, id!)
  await ledger.query(`update runs set state = 'queued' where id = $1`, [id])
  await ledger.transaction(db => runs.end(db, { fence: holder.fence!, state: 'succeeded', events: [] }))
  expect(run!.waitingFor).toBeNull()
})

test('the same key with another body is refused, and the first command stands', async () => {
  const command = { verb: 'run' as const, body: { task: 'a' }, actor: 'ada', key: 'k1' }
  const first = ask(ledger, command)
  await until('it is taken up', () => takeUp(ledger, async () => ({ ok: true, run: 'r1' })))
  const again = ask(ledger, { ...command, body: { task: 'b' } }).catch((error: { code: string }) => error.code)
  expect([await first, await ask(ledger, command), await again]).toEqual([{ ok: true, run: 'r1' }, { ok: true, run: 'r1' }, 'key_reused'])
})

test('two who ask under one key, one of whom gives up, both come back', async () => {
  const command = { verb: 'run' as const, body: { task: 'a' }, actor: 'ada', key: 'k2' }
  const codes = await Promise.all(
    [ask(ledger, command, 300), ask(ledger, command, 600)].map(one => one.catch((error: { code: string }) => error.code)),
  )
  expect(codes).toEqual(['unreachable', 'unreachable'])
})

test('a command whose asker is long gone is not done', async () => {
  await ledger.query(
    `insert into commands (id, verb, body, actor, created_at) values ($1, 'run', '{}', 'ada', now() - interval '1 hour')`,
    [uuidv7()],
  )
  let done = 0
  while (
    await takeUp(ledger, async () => {
      done++
      return { ok: true, run: 'x' }
    })
  );
  expect(done).toBe(0)
})

test('a reader’s position is not that of a batch that was published after it was looked at', async () => {
  const { rows } = await ledger.query<{ standing: string }>('select standing from publisher')
  await ledger.query(`update publisher set standing = gen_random_uuid(), next_ord = next_ord + 5`)
  await savePosition(ledger, 'reader', null, rows[0]!.standing)
  const { rows: saved } = await ledger.query(`select ord from positions where reader = 'reader'`)
  expect(saved).toEqual([])
})
