// Slots as they fall due, on a clock that the test holds: each is born or recorded with its reason.
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { dispatch, end } from '@dbops/ledger/runs'
import { reconcile, saveTargets } from '@dbops/ledger/schedules'
import { readConfig } from '@dbops/runtime/config'
import { openLog } from '@dbops/runtime/log'
import { plan } from '@dbops/runtime/plan'
import { tellerOf } from '@dbops/runtime/run-events'
import { freshDatabase } from '@dbops/testing/database'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { materialise } from '../src/tick.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
beforeEach(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
  await saveTargets(ledger, [{ name: 'core', engine: 'pg', heavy: 2, light: 4, labels: {} }])
})
afterEach(async () => {
  await ledger.close()
  await database.drop()
})

test('a slot that falls due is born with its slot, its deadline and its catch-up', async () => {
  await schedule('*/10 * * * *')
  await tick('12:10:00')
  expect(await rows()).toEqual([{ state: 'queued', slot: '12:10:00', slots: 1, reason: null, start_by: '13:10:00' }])
})

test('a slot that falls due while the run before has not ended is skipped as an overlap, and the next but one is born', async () => {
  await schedule('*/10 * * * *')
  await tick('12:10:00')
  await tick('12:20:00')
  await tick('12:30:00')
  await finishAll()
  await tick('12:40:00')
  expect((await rows()).map(r => [r.state, r.slot, r.slots, r.reason])).toEqual([
    ['succeeded', '12:10:00', 1, null],
    ['skipped', '12:20:00', 2, 'overlap'],
    ['queued', '12:40:00', 1, null],
  ])
})

test('after an outage the latest slot is run, those before it are one row, and the loss is told', async () => {
  await schedule('*/10 * * * *')
  await tick('12:45:00')
  const { rows: told } = await ledger.query<{ event: string }>('select event from outbox')
  expect([(await rows()).map(r => [r.state, r.slot, r.slots, r.reason]), told]).toEqual([
    [
      ['skipped', '12:10:00', 3, 'late'],
      ['queued', '12:40:00', 1, null],
    ],
    [{ event: 'schedule_missed' }],
  ])
})

test('with overlap: queue a slot waits behind the run before, and one of them is handed out', async () => {
  await schedule('*/10 * * * *', 'overlap: queue')
  await tick('12:10:00')
  await tick('12:20:00')
  // Their moment has come by the test's clock only.
  await ledger.query(`update runs set not_before = now(), start_by = now() + interval '1 hour', valid_until = now() + interval '1 hour'`)
  const handed = await ledger.transaction(db => dispatch(db, 50, () => ({ verdict: 'allow' })))
  expect([(await rows()).map(r => [r.state, r.slot]), handed?.sent.map(run => run.slot?.toISOString().slice(11, 19))]).toEqual([
    [
      ['queued', '12:10:00'],
      ['queued', '12:20:00'],
    ],
    ['12:10:00'],
  ])
})

test('with misfire: all every slot within its catch-up is run after an outage, the youngest hundred, and those before are told as lost', async () => {
  await schedule('*/10 * * * * *', 'misfire: all, overlap: queue')
  while (await tick('13:00:00'));
  const found = await rows()
  const { rows: told } = await ledger.query<{ event: string }>('select event from outbox')
  expect([
    found.filter(r => r.state !== 'queued').map(r => [r.state, r.slots, r.reason]),
    found.filter(r => r.state === 'queued').length,
  ]).toEqual([[['skipped', expect.any(Number), 'late']], 100])
  expect([found.at(-1)?.slot, found.reduce((sum, { slots }) => sum + slots, 0), told]).toEqual([
    '13:00:00',
    301,
    [{ event: 'schedule_missed' }],
  ])
})

test('with more due than a turn takes, the youngest are run by the last one', async () => {
  await schedule('* * * * * *', 'misfire: all, overlap: queue')
  while (await tick('13:00:00'));
  const found = await rows()
  expect([
    found
      .filter(r => r.state === 'queued')
      .map(r => r.slot)
      .slice(0, 1),
    found.reduce((sum, { slots }) => sum + slots, 0),
  ]).toEqual([['12:58:21'], 3_600])
})

test('outside its window a slot is skipped and says when the window opens, without an event', async () => {
  await schedule('*/10 * * * *', 'window: night', 'windows: { night: { from: "00:00", to: "06:00" } }\n')
  await tick('12:10:00')
  const { rows: told } = await ledger.query('select event from outbox')
  expect([(await rows())[0]?.reason, told]).toEqual(['window', []])
})

test('slots that fell due while a pause stood are one row, however slowly the scheduler turned', async () => {
  await schedule('* * * * * *')
  await ledger.query(
    `insert into pauses (id, scope, until, actor, created_at) values (gen_random_uuid(), 'all', '2099-01-01', 'ada', $1)`,
    [at('12:00:03')],
  )
  await tick('12:00:06')
  await tick('12:00:09')
  await tick('12:00:10')
  expect((await rows()).map(r => [r.state, r.slot, r.slots, r.reason])).toEqual([
    ['skipped', '12:00:01', 2, 'overtaken'],
    ['skipped', '12:00:03', 8, 'paused'],
  ])
})

test('with jitter a run begins later by the same share for the same slot', async () => {
  await schedule('*/10 * * * *', 'jitter: 5m')
  await tick('12:10:00')
  const first = await notBefore()
  await ledger.query('truncate runs cascade')
  await ledger.query('update schedules set due_at = $1', [at('12:10:00')])
  await tick('12:10:00')
  expect([first, first >= at('12:10:00') && first < at('12:15:00')]).toEqual([await notBefore(), true])
})

test('a schedule of every second that was away for an hour and a half is brought up to date in several turns, every second accounted for', async () => {
  await schedule('* * * * * *')
  while (await tick('13:30:00'));
  expect((await rows()).map(r => [r.state, r.slot, r.slots, r.reason])).toEqual([
    ['skipped', '12:00:01', 5_369, 'late'],
    ['skipped', '13:29:30', 30, 'overtaken'],
    ['queued', '13:30:00', 1, null],
  ])
})

const at = (time: string) => new Date(`2026-11-25T${time}Z`)
const planner = (text: string) => ({
  config: readConfig(undefined, { text }),
  log: openLog('scheduler', 'test', 'silent'),
  timers: { heartbeat: 5_000, lease: 30_000, reap: 5_000 },
  ...tellerOf('scheduler', 'dev'),
})
let current: ReturnType<typeof planner>
async function schedule(cron: string, more = '', sections = '') {
  current = planner(
    `targets: { core: { engine: pg, url: "postgres://a@b/c" } }\n${sections}schedules:\n  s: { task: pg.vacuum, target: core, cron: "${cron}", params: { tables: [a.b] }${more ? `, ${more}` : ''} }\n`,
  )
  const first = cron.startsWith('* *') ? at('12:00:01') : at('12:10:00')
  await ledger.transaction(db => reconcile(db, plan(current.config), () => first))
}
const tick = (time: string) => ledger.transaction(db => materialise(db, current, at(time)))
async function rows() {
  const { rows: found } = await ledger.query<{ state: string; slot: Date; slots: number; reason: string | null; start_by: Date | null }>(
    `select state, slot, slots, error ->> 'code' as reason, start_by from runs order by slot`,
  )
  const time = (date: Date | null) => date?.toISOString().slice(11, 19) ?? null
  return found.map(row => ({ ...row, slot: time(row.slot), start_by: time(row.start_by) }))
}
const notBefore = async () => (await ledger.query<{ not_before: Date }>('select not_before from runs')).rows[0]!.not_before
async function finishAll() {
  await ledger.query(`update runs set state = 'running', fence = nextval('fences') where state = 'queued'`)
  const { rows: running } = await ledger.query<{ fence: number }>(`select fence from runs where state = 'running'`)
  for (const { fence } of running) await ledger.transaction(db => end(db, { fence, state: 'succeeded', result: {}, events: [] }))
}
