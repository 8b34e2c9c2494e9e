// How old the success of a schedule may become follows from its own rhythm, and what Prometheus is shown from the ledger.

import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { bear } from '@dbops/ledger/runs'
import { openMetrics } from '@dbops/runtime/metrics'
import type { Loop, Service } from '@dbops/runtime/service'
import { birth } from '@dbops/testing/birth'
import { freshDatabase } from '@dbops/testing/database'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { longestGap, showingFreshness } from '../src/freshness.ts'

const now = new Date('2025-03-04T10:00:00Z')
const [hour, day] = [3_600_000, 86_400_000]

test.each([
  ['every day', '0 4 * * *', day],
  ['once a month: the longest of them', '0 5 1 * *', 31 * day],
  ['on working days: over the weekend', '0 4 * * mon-fri', 3 * day],
  ['once a year', '0 4 1 1 *', 365 * day],
  ['with daylight saving, which Seoul has not', '30 2 * * *', day],
])('%s', (_, cron, gap) => {
  expect(longestGap({ cron, zone: 'Asia/Seoul' }, now)).toBe(gap)
})

test.each([
  ['every minute of the working day: over the weekend, within an hour', '* 9-17 * * mon-fri', 63 * hour + 60_000, hour + 60_000],
  ['daily in the first half of the year, asked in March: over the second half, within a week', '0 4 * 1-6 *', 185 * day, 7 * day],
])('%s', (_, cron, gap, short) => {
  const found = longestGap({ cron, zone: 'Asia/Seoul' }, now)
  expect([found <= gap, found >= gap - short]).toEqual([true, true])
})

let ledger: Ledger
let close: () => Promise<unknown>
beforeAll(async () => {
  const database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test' })
  close = () => ledger.close().then(() => database.drop())
})
afterAll(() => close())

test('a schedule that never succeeded shows its plan and no success; a daily backup is shown under the name that the platform knows', async () => {
  const schedule = (name: string, task: string, operation: string, cron: string) =>
    ledger.query(
      `insert into schedules (name, target, task, spec, spec_hash, planned_at) values ($1, 'core', $2, $3, '', '2026-01-01T00:00:00Z')`,
      [name, task, JSON.stringify({ cron, zone: 'UTC', operation, deadlineMs: hour })],
    )
  await schedule('daily', 'pg.dump', 'pg.dump:daily', '0 4 * * *')
  await schedule('monthly', 'pg.dump', 'pg.dump:monthly', '0 4 1 * *')
  await schedule('vacuum', 'pg.vacuum', 'pg.vacuum', '0 4 * * *')
  for (const operation of ['pg.dump:daily', 'pg.dump:monthly']) {
    const one = birth({ task: 'pg.dump', operation })
    await bear(ledger, one)
    await ledger.query(`update runs set state = 'succeeded', finished_at = '2026-03-03T04:00:00Z' where id = $1`, [one.id])
  }
  const lines = (await shown()).split('\n').filter(line => /^(dbops_schedule|axiom_)/.test(line))
  const at = (time: string) => Date.parse(time) / 1_000
  const of = (name: string, task: string, operation: string) =>
    `{schedule="${name}",task="${task}",target="core",operation="${operation}",app="test"}`
  const daily = of('daily', 'pg.dump', 'pg.dump:daily')
  const monthly = of('monthly', 'pg.dump', 'pg.dump:monthly')
  const vacuum = of('vacuum', 'pg.vacuum', 'pg.vacuum')
  expect(lines.toSorted()).toEqual(
    [
      ...[daily, monthly, vacuum].map(one => `dbops_schedule_planned_timestamp_seconds${one} ${at('2026-01-01T00:00:00Z')}`),
      ...[daily, monthly].map(one => `dbops_schedule_success_timestamp_seconds${one} ${at('2026-03-03T04:00:00Z')}`),
      ...[daily, vacuum].map(one => `dbops_schedule_max_age_seconds${one} ${2 * 86_400 + 3_600}`),
      `dbops_schedule_max_age_seconds${monthly} ${2 * 31 * 86_400 + 3_600}`,
      `axiom_backup_last_success_timestamp{operation="pg.dump:daily",target="core",app="test"} ${at('2026-03-03T04:00:00Z')}`,
    ].toSorted(),
  )
})

/** One turn of the loop, and the page after it. */
async function shown(): Promise<string> {
  const metrics = openMetrics('test')
  let turn: Loop['turn'] = () => Promise.resolve()
  const loop = (one: Loop) => {
    turn = one.turn
    return () => undefined
  }
  showingFreshness({ metrics, ledger, config: { metrics: { compat: true } }, loop } as unknown as Service)
  await turn(() => undefined)
  return metrics.registry.metrics()
}
