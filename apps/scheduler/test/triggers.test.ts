// Runs for an event: gathered within the debounce, one at a time, forbidden and allowed as slots are, and born once whoever stops in between.
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { pause } from '@dbops/ledger/pauses'
import { end } from '@dbops/ledger/runs'
import { reconcile, saveTargets } from '@dbops/ledger/schedules'
import { listTriggers, recordEvent } from '@dbops/ledger/triggers'
import { readConfig } from '@dbops/runtime/config'
import { openLog } from '@dbops/runtime/log'
import { plan } from '@dbops/runtime/plan'
import { tellerOf } from '@dbops/runtime/run-events'
import { freshDatabase } from '@dbops/testing/database'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fire } from '../src/triggers.ts'

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

test('the first event sets the time, those within the debounce are counted, and one run is born of them all', async () => {
  await schedule()
  const first = await came()
  const last = await came(9)
  await fireAfter(29)
  const early = await born()
  await fireAfter(31)
  await fireAfter(31)
  expect([early, await born(), await listTriggers(ledger)]).toEqual([
    [],
    [
      {
        state: 'queued',
        after: 30,
        cause: { kind: 'event', schedule: 's', event: 'data_registered', events: 10, id: last },
        reason: null,
      },
    ],
    [],
  ])
  expect(first).not.toBe(last)
})

test('events during the run make exactly one more, when it has ended', async () => {
  await schedule()
  await came()
  await fireAfter(31)
  await came(5)
  await fireAfter(62)
  const during = (await born()).length
  await finishAll()
  await fireAfter(62)
  await finishAll()
  await fireAfter(93)
  expect([during, (await born()).map(run => [run.state, run.cause['events']])]).toEqual([
    1,
    [
      ['succeeded', 1],
      ['succeeded', 5],
    ],
  ])
})

test('an event during a pause is recorded as skipped with its reason, and not made up', async () => {
  await schedule()
  await pause(ledger, { scope: 'schedule', name: 's', until: new Date(Date.now() + 3_600_000), actor: 'ada' })
  await came()
  await fireAfter(31)
  await ledger.query(`update pauses set lifted_at = now()`)
  await fireAfter(62)
  expect((await born()).map(run => [run.state, run.reason])).toEqual([['skipped', 'paused']])
})

test('an event in a blackout is recorded as skipped', async () => {
  await schedule('', 'blackouts: [{ from: 2020-01-01, to: 2099-01-01, reason: year end }]\n')
  await came()
  await fireAfter(31)
  expect((await born()).map(run => [run.state, run.reason])).toEqual([['skipped', 'blackout']])
})

test('events while the window is closed make one run at its opening', async () => {
  const opens = new Date(Date.now() + 2 * 3_600_000)
  const window = `{ from: "${opens.toISOString().slice(11, 16)}", to: "${new Date(opens.getTime() + 3_600_000).toISOString().slice(11, 16)}" }`
  await schedule(', window: soon', `windows: { soon: ${window} }\n`)
  await came(3)
  await fireAfter(31)
  const [waiting] = await listTriggers(ledger)
  await came(2)
  await fireAfter(2 * 3_600)
  expect([waiting!.fireAt.toISOString().slice(11, 16), (await born()).map(run => [run.state, run.cause['events']])]).toEqual([
    opens.toISOString().slice(11, 16),
    [['queued', 5]],
  ])
})

test('an event that nobody read for a day is run at once, and one from a clock that runs ahead waits for the debounce alone', async () => {
  await schedule()
  await ledger.query(`update schedules set planned_at = now() - interval '2 days'`)
  await came(1, new Date(Date.now() - 24 * 3_600_000))
  await fireAfter(1)
  await finishAll()
  await came(1, new Date(Date.now() + 3_600_000))
  await fireAfter(31)
  expect((await born()).length).toBe(2)
})

test('what was told in the hour before a schedule was known bears its run, and what is older does not', async () => {
  await schedule()
  await came(1, new Date(Date.now() - 61 * 60_000))
  const old = await listTriggers(ledger)
  await came(1, new Date(Date.now() - 59 * 60_000))
  expect([old, (await listTriggers(ledger)).map(({ events }) => events)]).toEqual([[], [1]])
})

test('a schedule that is gone or runs for another event forgets what came for it', async () => {
  await schedule()
  await came()
  await ledger.transaction(db => reconcile(db, [], () => null))
  const forgotten = await listTriggers(ledger)
  await schedule()
  await fireAfter(31)
  expect([forgotten, await born()]).toEqual([[], []])
})

test('two schedulers at once bear one run', async () => {
  await schedule()
  await came()
  await Promise.all(Array.from({ length: 4 }, () => fireAfter(31)))
  expect((await born()).length).toBe(1)
})

const planner = (text: string) => ({
  config: readConfig(undefined, { text }),
  log: openLog('scheduler', 'test', 'silent'),
  timers: { heartbeat: 5_000, lease: 30_000, reap: 5_000 },
  ...tellerOf('scheduler', 'dev'),
})
let current: ReturnType<typeof planner>
let began: Date
async function schedule(more = '', sections = '') {
  current = planner(
    `targets: { core: { engine: pg, url: "postgres://a@b/c" } }\n${sections}schedules:\n  s: { task: pg.vacuum, target: core, event: data_registered, debounce: 30s, params: { tables: [a.b] }${more} }\n`,
  )
  await ledger.transaction(db => reconcile(db, plan(current.config), () => null))
  began = new Date()
}

/** So many events one after the other; the id of the last. */
async function came(events = 1, at = new Date()): Promise<string> {
  let id = ''
  for (let n = 0; n < events; n++) await recordEvent(ledger, { id: (id = uuidv7()), event: 'data_registered', at })
  return id
}
const fireAfter = (seconds: number) => ledger.transaction(db => fire(db, current, new Date(began.getTime() + seconds * 1_000)))

async function born() {
  const { rows } = await ledger.query<{ state: string; slot: Date; cause: Record<string, unknown>; reason: string | null }>(
    `select state, slot, cause, error ->> 'code' as reason from runs order by id`,
  )
  return rows.map(({ slot, ...row }) => ({ ...row, after: Math.round((slot.getTime() - began.getTime()) / 1_000) }))
}
async function finishAll() {
  await ledger.query(`update runs set state = 'running', fence = nextval('fences') where state = 'queued'`)
  const { rows } = await ledger.query<{ fence: number }>(`select fence from runs where state = 'running'`)
  for (const { fence } of rows) await ledger.transaction(db => end(db, { fence, state: 'succeeded', result: {}, events: [] }))
}
