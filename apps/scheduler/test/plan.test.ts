// How a configuration becomes schedules in the ledger, and when it does not.
import { setTimeout as sleep } from 'node:timers/promises'
import { clockOf, type Ledger, openLedger, type Queryable } from '@dbops/ledger/ledger'
import { listSchedules } from '@dbops/ledger/schedules'
import { reportService } from '@dbops/ledger/services'
import { readConfig } from '@dbops/runtime/config'
import { openLog } from '@dbops/runtime/log'
import { plan } from '@dbops/runtime/plan'
import { tellerOf } from '@dbops/runtime/run-events'
import { freshDatabase } from '@dbops/testing/database'
import { until } from '@dbops/testing/until'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { apply } from '../src/plan.ts'
import { materialise } from '../src/tick.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
beforeEach(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 4 })
})
afterEach(async () => {
  await ledger.close()
  await database.drop()
})

const vacuum = (name: string, cron = '0 3 * * *') =>
  `  ${name}: { task: pg.vacuum, target: core, cron: "${cron}", params: { tables: [public.${name}] } }\n`
const config = (...schedules: string[]) => `targets: { core: { engine: pg, url: "postgres://a@b/c" } }\nschedules:\n${schedules.join('')}`

test('a schedule carries all that the birth of its runs needs', () => {
  const [schedule] = plan(readConfig(undefined, { text: config(vacuum('items')) }))
  expect(schedule).toMatchObject({
    name: 'items',
    target: 'core',
    task: 'pg.vacuum',
    spec: {
      cron: '0 3 * * *',
      zone: 'UTC',
      engine: 'pg',
      params: { tables: ['public.items'] },
      operation: expect.stringMatching(/^pg\.vacuum:[0-9a-f]{6}$/),
      catchUpMs: 3_600_000,
    },
  })
})

test('a schedule on two targets is two schedules of one name', () => {
  const text = `targets: { core: { engine: pg, url: "postgres://a@b/c" }, more: { engine: pg, url: "postgres://a@b/d" } }\nschedules: { v: { task: pg.vacuum, targets: [core, more], cron: "0 3 * * *", params: { tables: [a.b] } } }`
  expect(plan(readConfig(undefined, { text })).map(s => [s.name, s.target])).toEqual([
    ['v', 'core'],
    ['v', 'more'],
  ])
})

test('an unchanged configuration writes nothing', async () => {
  await applied(config(vacuum('items')))
  const before = await ledger.query('select xmin::text from schedules')
  await applied(config(vacuum('items')))
  expect((await ledger.query('select xmin::text from schedules')).rows).toEqual(before.rows)
})

test('a schedule that is removed is disabled, never deleted, and comes back with its history', async () => {
  await applied(config(vacuum('items'), vacuum('notes'), vacuum('more')))
  await applied(config(vacuum('notes'), vacuum('more')))
  const without = (await listSchedules(ledger)).map(s => [s.name, s.enabled])
  await applied(config(vacuum('items'), vacuum('notes'), vacuum('more')))
  expect([without, (await listSchedules(ledger)).every(s => s.enabled)]).toEqual([
    [
      ['items', false],
      ['more', true],
      ['notes', true],
    ],
    true,
  ])
})

test('a changed cron first materialises the slots that were due under the old one', async () => {
  await applied(config(vacuum('items', '* * * * * *')))
  await ledger.query(`update schedules set due_at = now() - interval '3 seconds'`)
  await applied(config(vacuum('items', '0 4 1 1 *')))
  const { rows } = await ledger.query<{ state: string; slots: number }>('select state, slots from runs order by slot')
  expect(rows).toEqual([
    { state: 'skipped', slots: 3 },
    { state: 'queued', slots: 1 },
  ])
})

test('slots that another scheduler has in hand while a changed configuration is applied are neither lost nor counted twice', async () => {
  const [old, changed] = ['public.items', 'public.others'].map(table =>
    config(vacuum('items', '* * * * * *').replace('public.items', table)),
  )
  await applied(old!)
  const inHand = Promise.withResolvers<void>()
  const other = ledger.transaction(async db => {
    await until('a slot is due', () => materialised(db))
    inHand.resolve()
    await sleep(2_500)
  })
  await inHand.promise
  await sleep(1_300) // a further slot has fallen due, which is nobody's yet
  await Promise.all([other, applied(changed!)])
  const { rows } = await ledger.query<{ slots: number; seconds: number }>(
    `select sum(slots)::int as slots, extract(epoch from min(due_at) - min(slot))::int as seconds from runs, schedules`,
  )
  expect(rows[0]!.slots).toBe(rows[0]!.seconds)
})

test('disabling more than half of the schedules is refused unless it is meant', async () => {
  const all = ['a', 'b', 'c', 'd'].map(name => vacuum(name))
  await applied(config(...all))
  await expect(applied(config(all[0]!))).rejects.toMatchObject({
    code: 'mass_disable',
    message: 'the configuration would disable 3 of 4 schedules',
  })
  await applied(config(all[0]!), { 'allow-mass-disable': 'true' })
  expect((await listSchedules(ledger)).filter(s => s.enabled).map(s => s.name)).toEqual(['a'])
})

test('a configuration that is known as older is not applied while a scheduler with the newer one lives; alone, it is', async () => {
  const [old, recent] = [config(vacuum('a'), vacuum('b')), config(vacuum('a'), vacuum('b'), vacuum('c'))]
  await applied(old)
  await applied(recent)
  await lives('scheduler@elsewhere:1', readConfig(undefined, { text: recent }).hash)
  const beside = await applied(old)
  await ledger.query('delete from services')
  const alone = await applied(old)
  expect([beside, alone, (await listSchedules(ledger)).filter(s => s.enabled).length]).toEqual([false, true, 2])
})

test('targets are known by name and size only: no address and no secret comes into the ledger', async () => {
  await applied(`targets: { core: { engine: pg, url: "postgres://ada:hush-hush@db.example/axiom" } }`)
  const { rows } = await ledger.query('select * from targets')
  expect(JSON.stringify(rows)).not.toMatch(/hush|example|ada/)
})

const scheduler = (text: string, options: Record<string, string> = {}) => ({
  config: readConfig(undefined, { text }),
  ledger,
  log: openLog('scheduler', 'test', 'silent'),
  name: 'scheduler@here:1',
  timers: { heartbeat: 5_000, lease: 30_000, reap: 5_000 },
  option: (name: string) => options[name],
  ...tellerOf('scheduler', 'dev'),
})
const applied = (text: string, options: Record<string, string> = {}) => apply(scheduler(text, options))
/** Whether a slot was due, which is now born. */
async function materialised(db: Queryable): Promise<boolean> {
  await materialise(db, scheduler(config()), await clockOf(db))
  return (await db.query('select from runs')).rows.length > 0
}
const lives = (name: string, configHash: string) =>
  reportService(ledger, {
    name,
    app: 'scheduler',
    version: '0',
    catalogHash: '',
    configHash,
    address: null,
    ready: true,
    reasons: [],
    detail: {},
  })
