// The scheduler against a brute-force list of slots: random crons, zones, outages and words, and every slot has to end in exactly one row.
import { parseDuration } from '@dbops/contract/duration'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { end } from '@dbops/ledger/runs'
import { reconcile, saveTargets } from '@dbops/ledger/schedules'
import { readConfig } from '@dbops/runtime/config'
import { openLog } from '@dbops/runtime/log'
import { plan } from '@dbops/runtime/plan'
import { tellerOf } from '@dbops/runtime/run-events'
import { freshDatabase } from '@dbops/testing/database'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { materialise } from '../src/tick.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
beforeAll(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 2 })
  await saveTargets(ledger, [{ name: 'core', engine: 'pg', heavy: 2, light: 4, labels: {} }])
})
afterAll(async () => {
  await ledger.close()
  await database.drop()
})

const minute = 60_000
const start = Date.parse('2026-11-25T12:00:00Z')
const lease = 30_000
/** Zones with half and quarter hours; none of them changes its clock in these days. */
const zones = ['UTC', 'Asia/Seoul', 'America/St_Johns', 'Asia/Kathmandu']
const field = (from: number, to: number) =>
  fc.oneof(
    fc.constant('*'),
    fc.integer({ min: from, max: to }).map(String),
    fc.integer({ min: 2, max: Math.min(to, 25) }).map(step => `*/${step}`),
    fc
      .uniqueArray(fc.integer({ min: from, max: to }), { minLength: 2, maxLength: 4 })
      .map(list => list.toSorted((a, b) => a - b).join(',')),
  )
const scenario = fc.record({
  minutes: field(0, 59),
  hours: fc.oneof({ weight: 3, arbitrary: fc.constant('*') }, { weight: 1, arbitrary: field(0, 23) }),
  zone: fc.constantFrom(...zones),
  misfire: fc.constantFrom('latest', 'all', 'skip'),
  queue: fc.boolean(),
  catchUp: fc.constantFrom('5m', '1h', '6h'),
  // Seconds until the next turn, and whether all that runs has ended by then.
  turns: fc.array(fc.tuple(fc.integer({ min: 1, max: 20_000 }), fc.boolean()), { minLength: 1, maxLength: 8 }),
})
type Scenario = typeof scenario extends fc.Arbitrary<infer One> ? One : never

test('every slot ends in one row, and the words say in which', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async one => {
      const asked = { ...one, queue: one.queue || one.misfire === 'all' }
      expect(await played(asked)).toEqual(expected(asked))
    }),
    { numRuns: 60, seed: 7 },
  )
})

/** A row of slots: `from` and `to` in minutes since the start. */
interface Row {
  state: 'born' | 'skipped'
  from: number
  to: number
  slots: number
}

async function played({ minutes, hours, zone, misfire, queue, catchUp, turns }: Scenario): Promise<Row[]> {
  await ledger.query('truncate runs cascade')
  await ledger.query('delete from schedules')
  const text = `targets: { core: { engine: pg, url: "postgres://a@b/c" } }
schedules:
  s: { task: pg.vacuum, target: core, cron: "${minutes} ${hours} * * *", zone: ${zone}, params: { tables: [a.b] }, misfire: ${misfire}, catchUp: ${catchUp}, overlap: ${queue ? 'queue' : 'skip'} }
`
  const planner = {
    config: readConfig(undefined, { text }),
    log: openLog('scheduler', 'test', 'silent'),
    timers: { heartbeat: 5_000, lease, reap: 5_000 },
    ...tellerOf('scheduler', 'dev'),
  }
  const [first] = slotsOf({ minutes, hours, zone }, start, start + 2 * 1_440 * minute)
  await ledger.transaction(db => reconcile(db, plan(planner.config), () => new Date(first!)))
  let now = start
  for (const [seconds, ended] of turns) {
    now += seconds * 1_000
    if (ended) await endAll()
    while (await ledger.transaction(db => materialise(db, planner, new Date(now))));
  }
  const { rows } = await ledger.query<{ state: string; slot: Date; to: Date | null; slots: number }>(
    `select state, slot, slot_to as "to", slots from runs order by slot`,
  )
  return joined(
    rows.map(({ state, slot, to, slots }) => ({
      state: state === 'skipped' ? 'skipped' : 'born',
      from: (slot.getTime() - start) / minute,
      to: ((to ?? slot).getTime() - start) / minute,
      slots,
    })),
  )
}

/** The same without a database, cron or batches: from one slot to the next. */
function expected({ misfire, queue, catchUp, turns, ...cron }: Scenario): Row[] {
  const rows: Row[] = []
  let unfinished = 0
  let [before, now] = [start, start]
  for (const [seconds, ended] of turns) {
    now += seconds * 1_000
    if (ended) unfinished = 0
    const due = slotsOf(cron, before, now)
    const inTime = (slot: number) => now - slot <= (misfire === 'skip' ? lease : parseDuration(catchUp))
    const runs = misfire === 'all' ? due.filter(inTime).slice(-100) : due.slice(-1).filter(inTime)
    for (const slot of due) {
      const isBorn = runs.includes(slot) && unfinished < (queue ? 100 : 1)
      if (isBorn) unfinished++
      const at = (slot - start) / minute
      rows.push({ state: isBorn ? 'born' : 'skipped', from: at, to: at, slots: 1 })
    }
    before = now
  }
  return joined(rows)
}

/** Slots that were skipped one after the other, together: for which reason is another test's question. */
function joined(rows: Row[]): Row[] {
  const all: Row[] = []
  for (const row of rows) {
    const last = all.at(-1)
    if (last?.state === 'skipped' && row.state === 'skipped') Object.assign(last, { to: row.to, slots: last.slots + row.slots })
    else all.push({ ...row })
  }
  return all
}

/** Each minute of (after, until] whose clock time fits, asked one by one. */
function slotsOf({ minutes, hours, zone }: Pick<Scenario, 'minutes' | 'hours' | 'zone'>, after: number, until: number): number[] {
  const clock = new Intl.DateTimeFormat('en', { timeZone: zone, hour: 'numeric', minute: 'numeric', hourCycle: 'h23' })
  const found: number[] = []
  for (let at = Math.floor(after / minute) * minute + minute; at <= until; at += minute) {
    const parts = Object.fromEntries(clock.formatToParts(at).map(({ type, value }) => [type, Number(value)]))
    if (fits(minutes, parts['minute']!) && fits(hours, parts['hour']!)) found.push(at)
  }
  return found
}
function fits(words: string, value: number): boolean {
  if (words.startsWith('*/')) return value % Number(words.slice(2)) === 0
  return words === '*' || words.split(',').map(Number).includes(value)
}

async function endAll(): Promise<void> {
  await ledger.query(`update runs set state = 'running', fence = nextval('fences') where state = 'queued'`)
  const { rows } = await ledger.query<{ fence: number }>(`select fence from runs where state = 'running'`)
  for (const { fence } of rows) await ledger.transaction(db => end(db, { fence, state: 'succeeded', result: {}, events: [] }))
}
