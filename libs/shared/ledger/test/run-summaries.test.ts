// Runs of more than 400 days ago become sums by day: nothing is counted twice, nothing goes that something else stands on.
import { recordArtifact } from '@dbops/ledger/artifacts'
import { sumUpRuns } from '@dbops/ledger/run-summaries'
import { bear } from '@dbops/ledger/runs'
import { birth } from '@dbops/testing/birth'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { freshLedger, type TestLedger } from './ledger-harness.ts'

let ledger: TestLedger
let close: () => Promise<void>
beforeAll(async () => void ({ ledger, close } = await freshLedger()))
afterAll(() => close())
afterEach(() => ledger.query('truncate runs, run_locks, history, run_logs, artifacts, run_summaries cascade'))

const day = 86_400_000
const [old, cut] = [new Date('2025-01-10T12:00:00Z'), new Date('2025-02-01T00:00:00Z')]
let n = 0
const idOf = (at: Date) => {
  const ms = at.getTime().toString(16).padStart(12, '0')
  return `${ms.slice(0, 8)}-${ms.slice(8)}-7000-8000-${(n++).toString(16).padStart(12, '0')}`
}
/** One that took two seconds in two attempts, with a line and its history; of a slot, unless it says otherwise. */
async function ended(state: string, over: { at?: Date; operation?: string; parent?: string; slots?: number; slot?: Date | null } = {}) {
  const { at = old, operation = 'pg.test', parent, slots = 1 } = over
  const slot = over.slot === undefined ? new Date(at.getTime() + n * 1_000) : over.slot
  const id = idOf(at)
  await bear(ledger, birth({ id, operation, locks: [], ...(slot ? { schedule: 's', slot } : {}), ...(parent ? { parent } : {}) }))
  await ledger.query(
    `update runs set state = $2, queued_at = $3, started_at = $3, finished_at = $3::timestamptz + interval '2 s', attempt = 2, slots = $4 where id = $1`,
    [id, state, at, slots],
  )
  await ledger.query(`insert into run_logs (run, n, at, level, line) values ($1, 1, now(), 'info', 'x')`, [id])
  return id
}
const left = async () => (await ledger.query<{ id: string }>('select id from runs order by id')).rows.map(({ id }) => id)
const sums = async () =>
  (
    await ledger.query(
      `select day::text, operation, schedule, state, runs, slots, attempts, busy_ms as busy, longest_ms as longest from run_summaries order by day, operation, state, schedule`,
    )
  ).rows
const all = async (limit?: number) => {
  let gone = 0
  for (let some = -1; some !== 0; gone += some) some = await sumUpRuns(ledger, cut, limit)
  return gone
}

test('those that ended before are summed up by day, kind and end, and their slots stay counted', async () => {
  const later = await ended('succeeded', { at: new Date(cut.getTime() + day) })
  for (let i = 0; i < 3; i++) await ended('succeeded')
  await ended('skipped', { slots: 86_400 })
  await ended('failed', { at: new Date(old.getTime() + day), slot: null })
  expect([await all(2), await left(), await sums()]).toEqual([
    5,
    [later],
    [
      {
        day: '2025-01-10',
        operation: 'pg.test',
        schedule: 's',
        state: 'skipped',
        runs: 1,
        slots: 86_400,
        attempts: 2,
        busy: 2_000,
        longest: 2_000,
      },
      {
        day: '2025-01-10',
        operation: 'pg.test',
        schedule: 's',
        state: 'succeeded',
        runs: 3,
        slots: 3,
        attempts: 6,
        busy: 6_000,
        longest: 2_000,
      },
      {
        day: '2025-01-11',
        operation: 'pg.test',
        schedule: '',
        state: 'failed',
        runs: 1,
        slots: 0,
        attempts: 2,
        busy: 2_000,
        longest: 2_000,
      },
    ],
  ])
  expect((await ledger.query('select from history where run <> $1', [later])).rowCount).toBe(0)
})

test('the newest success of an operation stays, whatever its age, and so does one whose backup is listed', async () => {
  const [first, last] = [await ended('succeeded'), await ended('succeeded', { at: new Date(old.getTime() + day) })]
  const dump = await ended('succeeded', { operation: 'pg.dump:rows' })
  await ended('succeeded', { operation: 'pg.dump:rows', at: new Date(cut.getTime() + day) })
  await recordArtifact(ledger, backupOf(dump))
  await all()
  expect([(await left()).includes(first), (await left()).includes(last), (await left()).includes(dump)]).toEqual([false, true, true])
})

test('a run and its repetition go one after the other; one whose repetition stays, stays', async () => {
  const failed = await ended('failed')
  await ended('failed', { parent: failed })
  const standing = await ended('failed')
  const child = await ended('succeeded', { parent: standing, at: new Date(cut.getTime() + day) })
  await all(1)
  expect(await left()).toEqual([standing, child])
})

test('what has not ended is never summed up', async () => {
  const id = await ended('parked')
  await all()
  expect(await left()).toEqual([id])
})

const backupOf = (run: string) => ({
  id: run,
  run,
  fence: 1,
  environment: 'test',
  engine: 'pg',
  target: 'core',
  kind: 'dump',
  name: 'rows',
  operation: 'pg.dump:rows',
  store: 'main',
  place: run,
  location: `file:///nowhere/${run}`,
  bytes: 1,
  files: 1,
  createdAt: old,
  manifest: {},
})
