// The run protocol with real processes, a real target and real faults: what an attempt may do, and what becomes of it when its process dies, sleeps or is told to stop.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { listArtifacts } from '@dbops/ledger/artifacts'
import { linesOf } from '@dbops/ledger/logs'
import type { Birth } from '@dbops/ledger/runs'
import { bear, claim, endWaiting, find, historyOf, type Run, requestCancel, requeue } from '@dbops/ledger/runs'
import { birth } from '@dbops/testing/birth'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

let line: Line
let target: Awaited<ReturnType<typeof freshDatabase>>
let db: Client
let maintainer: Process
let scheduler: Process

beforeEach(async () => {
  target = await freshDatabase()
  db = new Client(target.url)
  await db.connect()
  await db.query(
    'CREATE TABLE effects (run uuid, fence bigint, step int, at timestamptz DEFAULT clock_timestamp(), app text DEFAULT current_setting($$application_name$$))',
  )
  await db.query('CREATE TABLE world (open boolean, by bigint)')
  await db.query('INSERT INTO world VALUES (false, 0)')
  line = await startLine(
    `targets: { core: { engine: pg, url: "\${CORE_URL}" } }
stores: { main: { url: "file://$FOLDER/store", free: 1MiB } }
dumps: { metadata: { target: core, data: [public.effects], stores: [main] } }
`,
    { CORE_URL: target.url },
  )
  mkdirSync(join(line.folder, 'store'))
  scheduler = await line.start('apps/scheduler/src/main.ts')
  maintainer = await startMaintainer()
})
afterEach(async () => {
  await line?.close()
  await db?.end()
  await target?.drop()
})

test('a run goes from birth to its proven end, with one event, and leaves no session', async () => {
  const id = await start('write', { steps: 3, pause: 1 })
  const run = await ended(id)
  expect([run.state, run.result, run.evidence, await line.events(id), await sessions()]).toEqual([
    'succeeded',
    { written: 3 },
    { rows: 3 },
    ['run_succeeded'],
    [],
  ])
})

test('a task that claims more than the database shows has failed, with its facts and the evidence', async () => {
  const id = await start('write', { steps: 1, pause: 1, lie: true })
  expect(await ended(id)).toMatchObject({
    state: 'failed',
    result: { written: 1 },
    evidence: { rows: 1 },
    error: { code: 'not_proven', message: '1 of 2 rows are there' },
  })
})

describe('what a task says that no ledger can hold', () => {
  test('in facts, evidence, progress and lines is kept as far as it can be, and the run has succeeded', async () => {
    const id = await start('say-anything', { how: 'well' })
    const done = await ended(id)
    const lines = await linesOf(line.ledger, id)
    expect([done.state, done.result, done.evidence, done.progress?.['note'], lines.length, lines[1]?.line, await line.events(id)]).toEqual([
      'succeeded',
      { found: [{ 'a\ufffdb \ufffd': 'a\ufffdb \ufffd' }] },
      { odd: 'a\ufffdb \ufffd' },
      'a\ufffdb \ufffd',
      4,
      'a table named a\ufffdb \ufffd {"table":"a\ufffdb \ufffd"}',
      ['run_succeeded'],
    ])
  })
  test('in a failure is told with it', async () => {
    const done = await ended(await start('say-anything', { how: 'fails' }))
    expect([done.state, done.error]).toMatchObject(['failed', { message: 'no such row: a\ufffdb \ufffd', hint: 'a\ufffdb \ufffd' }])
  })
  test('in its state is refused at once, since it would come back as another', async () => {
    const done = await ended(await start('say-anything', { how: 'keeps' }))
    expect([done.state, done.attempt, done.error?.code]).toEqual(['failed', 1, 'bad_state'])
  })
})

describe('SIGKILL of the maintainer', () => {
  test('in the middle of work: another process has the run, the dead session is gone, one final state', async () => {
    const id = await start('write', { steps: 20, pause: 150 })
    await steps(id, 2)
    const other = await startMaintainer()
    maintainer.kill('SIGKILL')
    const run = await ended(id)
    const fences = await fencesOf(id)
    expect([run.state, run.attempt, run.worker?.endsWith(`:${other.pid}`), fences.length, await line.events(id)]).toEqual([
      'succeeded',
      2,
      true,
      2,
      ['run_lost', 'run_succeeded'],
    ])
    expect(await sessions()).toEqual([])
  })

  test('of a task that resumes: each step is done once', async () => {
    const id = await start('resume', { steps: 10, pause: 100 }, { retry: 'resume' })
    await steps(id, 3)
    maintainer.kill('SIGKILL')
    await startMaintainer()
    await ended(id)
    const { rows } = await db.query('SELECT step, count(*)::int AS times FROM effects GROUP BY step ORDER BY step')
    expect(rows.filter(row => row.step !== rows.findLast(r => r.times > 1)?.step).every(row => row.times === 1) && rows.length).toBe(10)
  })

  test('of a task that is never repeated: it has failed with an unknown outcome, and was not begun again', async () => {
    const id = await start('once', { pause: 30_000 }, { retry: 'never' })
    await steps(id, 1)
    maintainer.kill('SIGKILL')
    await startMaintainer()
    expect([(await ended(id)).error?.code, (await fencesOf(id)).length]).toEqual(['outcome_unknown', 1])
  })

  test('while the world is open: it is closed by a recovery before the run begins again', async () => {
    const id = await start('open', { pause: 1_500 }, { recovers: true, locks: [{ name: 'window', exclusive: true }] })
    await until('the window is open', async () => (await world()).open)
    maintainer.kill('SIGKILL')
    await startMaintainer()
    const run = await ended(id)
    const recovery = (await line.ledger.query<{ id: string; fence: number }>(`select id, fence from runs where parent = $1`, [id])).rows[0]!
    const order = await line.ledger.query<{ run: string }>(`select run from history where event in ('claimed') order by n`)
    expect([run.state, (await world()).open, order.rows.map(row => row.run)]).toEqual(['succeeded', false, [id, recovery.id, id]])
  })

  test('between manifest and end: the manifest is adopted, and the run has succeeded once', async () => {
    const id = await start('make', { dump: 'metadata', chunks: 3, pause: 5 }, made)
    await killBetweenManifestAndEnd(id)
    await startMaintainer()
    const run = await ended(id)
    expect([run.state, (await listArtifacts(line.ledger, { limit: 9 })).map(a => a.run), await line.events(id)]).toEqual([
      'succeeded',
      [id],
      ['run_lost', 'backup_completed'],
    ])
  })

  test('between manifest and end of the last attempt: the backup is listed and told all the same', async () => {
    const id = await start('make', { dump: 'metadata', chunks: 3, pause: 5 }, { ...made, attempts: 1 })
    await killBetweenManifestAndEnd(id)
    await startMaintainer()
    await until('the backup is listed', async () => (await listArtifacts(line.ledger, { limit: 9 })).length, { within: 30_000 })
    expect([(await ended(id)).state, await line.events(id)]).toEqual(['succeeded', ['run_lost', 'backup_completed']])
  })

  test('in the middle of the last attempt of an artifact: it has failed, told once, when its recovery is done', async () => {
    const id = await start('make', { dump: 'metadata', chunks: 20, pause: 100 }, { ...made, attempts: 1 })
    await until('it writes', () => files().some(file => file.includes('made.bin')))
    maintainer.kill('SIGKILL')
    await startMaintainer()
    const run = await ended(id)
    const left = files().filter(file => !file.endsWith('manifest.json') && !file.startsWith('.drafts'))
    expect([run.state, run.error?.code, left, await line.events(id)]).toEqual(['failed', 'lost', [], ['run_lost', 'run_failed']])
  })

  test('in the middle of an artifact: what it had written is voided and swept, and one manifest is there in the end', async () => {
    const id = await start('make', { dump: 'metadata', chunks: 20, pause: 100 }, made)
    await until('it writes', () => files().some(file => file.endsWith('made.bin') || file.includes('made.bin')))
    maintainer.kill('SIGKILL')
    await startMaintainer()
    const run = await ended(id)
    const sealed = await listArtifacts(line.ledger, { limit: 9 })
    const left = files().filter(
      file => !file.startsWith(sealed[0]!.place) && !file.endsWith('manifest.json') && !file.startsWith('.drafts'),
    )
    expect([run.state, sealed.length, left]).toEqual(['succeeded', 1, []])
  })
})

test('SIGSTOP of the maintainer beyond its lease, then CONT: the old process causes no side effect', async () => {
  const id = await start('write', { steps: 40, pause: 200 })
  await steps(id, 2)
  maintainer.kill('SIGSTOP')
  await startMaintainer()
  const fences = await until('another process writes', async () => ((await fencesOf(id)).length === 2 ? fencesOf(id) : undefined), {
    within: 30_000,
  })
  maintainer.kill('SIGCONT')
  await ended(id)
  const { rows } = await db.query('SELECT max(at) FILTER (WHERE fence = $1) < min(at) FILTER (WHERE fence = $2) AS ordered FROM effects', [
    fences[0],
    fences[1],
  ])
  expect([rows[0].ordered, await line.events(id)]).toEqual([true, ['run_lost', 'run_succeeded']])
})

test('SIGSTOP in the middle of an artifact, then CONT: the sleeper cannot seal what was swept, and its successor’s is the only backup', async () => {
  const id = await start('make', { dump: 'metadata', chunks: 20, pause: 100 }, made)
  await until('it writes', () => files().some(file => file.includes('made.bin')))
  maintainer.kill('SIGSTOP')
  await startMaintainer()
  await ended(id)
  maintainer.kill('SIGCONT')
  await until('the sleeper says that it was taken over', () =>
    maintainer.lines.some(each => each.includes('attempt_superseded') || each.includes('attempt_abandoned')),
  )
  const sealed = files().filter(
    file => file.endsWith('manifest.json') && !readFileSync(join(line.folder, 'store', file), 'utf8').includes('"void": true'),
  )
  expect([sealed.length, (await listArtifacts(line.ledger, { limit: 9 })).length, await line.events(id)]).toEqual([
    1,
    1,
    ['run_lost', 'backup_completed'],
  ])
})

test('a parked run that is cancelled is put back by a recovery, and ends with it', async () => {
  const id = await start('outside', { ms: 600_000 }, { recovers: true, locks: [{ name: 'x', exclusive: true }] })
  const parked = await until('it is parked', async () => ((await run(id)).state === 'parked' ? run(id) : undefined))
  await line.ledger.transaction(db => endWaiting(db, parked, 'cancelled', { code: 'cancelled', message: 'cancelled by ada' }, []))
  const done = await ended(id)
  const { rows } = await line.ledger.query('select state from runs where parent = $1', [id])
  expect([done.state, rows, await line.events(id)]).toEqual(['cancelled', [{ state: 'succeeded' }], ['run_cancelled']])
})

test('SIGTERM of the maintainer gives the attempt back, and its successor goes on', async () => {
  const id = await start('write', { steps: 20, pause: 150 })
  await steps(id, 2)
  await startMaintainer()
  const code = await maintainer.stop()
  const run = await ended(id)
  expect([code, run.state, run.attempt, await line.events(id)]).toEqual([0, 'succeeded', 1, ['run_succeeded']])
})

describe('the permission of the policy', () => {
  /** The run is sent out with a permission of these times (ms from now), before a worker has it. */
  const permitted = async (startIn: number, endsIn: number, ...run: Parameters<typeof start>) => {
    maintainer.kill('SIGSTOP')
    const id = await start(...run)
    await until('it is sent out', async () => (await find(line.ledger, id))[0]!.dispatchedAt)
    const at = (ms: number) => new Date(Date.now() + ms).toISOString()
    const policy = { verdict: 'allow', rule: 'test', startBy: at(startIn), until: at(endsIn) }
    await line.ledger.query('update runs set policy = $2 where id = $1', [id, policy])
    maintainer.kill('SIGCONT')
    return id
  }

  test('ends while the work goes on: it stops, no attempt is burnt, and it goes on with the next permission', async () => {
    const id = await permitted(60_000, 3_000, 'resume', { steps: 20, pause: 250 }, { retry: 'resume' })
    const run = await ended(id)
    const fences = await fencesOf(id)
    expect([run.state, run.attempt, fences.length, run.policy?.['until'], await line.events(id)]).toEqual([
      'succeeded',
      1,
      2,
      undefined,
      ['run_succeeded'],
    ])
  })

  test('lasts longer than a timer can run: it does not end at once', async () => {
    const days = 60 * 86_400_000
    const id = await permitted(days, days, 'write', { steps: 1, pause: 1 })
    const run = await ended(id)
    const released = (await historyOf(line.ledger, id)).filter(({ event }) => event === 'released')
    expect([run.state, released.length]).toEqual(['succeeded', 0])
  })

  test('is too short for the work when a worker comes late: it is sent back before anything was done', async () => {
    const id = await permitted(-1, 3_600_000, 'write', { steps: 1, pause: 1 })
    const run = await ended(id)
    const released = (await historyOf(line.ledger, id)).filter(({ event }) => event === 'released')
    expect([run.state, run.attempt, (await fencesOf(id)).length, released.length]).toEqual(['succeeded', 1, 1, 1])
  })

  test('ends for a task that is never repeated: it has failed, interrupted', async () => {
    const id = await permitted(60_000, 3_000, 'once', { pause: 30_000 }, { retry: 'never' })
    expect(await ended(id)).toMatchObject({
      state: 'failed',
      error: { code: 'interrupted', message: expect.stringContaining('(test)') as string },
    })
  })
})

test('SIGTERM with nothing in hand ends at once', async () => {
  const began = performance.now()
  const code = await maintainer.stop()
  expect([code, performance.now() - began < 3_000]).toEqual([0, true])
})

test('cancel of a running run: its session is gone, state cancelled', async () => {
  const id = await start('write', { steps: 1_000, pause: 100 })
  await steps(id, 1)
  await requestCancel(line.ledger, id, 'ada')
  const run = await ended(id)
  expect([run.state, run.error, await sessions(), await line.events(id)]).toEqual([
    'cancelled',
    { code: 'cancelled', message: 'cancelled by ada' },
    [],
    ['run_cancelled'],
  ])
})

test('a parked run keeps its locks, gives its worker back, and goes on with the same attempt number', async () => {
  const id = await start('outside', { ms: 1_500 }, { locks: [{ name: 'x', exclusive: true }] })
  await until('it is parked', async () => (await run(id)).state === 'parked')
  const { rows: held } = await line.ledger.query('select held from run_locks where run = $1', [id])
  const done = await ended(id)
  expect([held, done.state, done.result, (await historyOf(line.ledger, id)).map(row => row.event)]).toEqual([
    [{ held: true }],
    'succeeded',
    { attempt: 1 },
    ['born', 'dispatched', 'claimed', 'parked', 'woken', 'dispatched', 'claimed', 'succeeded'],
  ])
})

test('an attempt that fails in a living process puts the world back before it is tried again', async () => {
  const id = await start('open', { pause: 50, fail: true }, { recovers: true, attempts: 1, locks: [{ name: 'window', exclusive: true }] })
  const run = await ended(id)
  expect([run.state, run.error?.message, (await world()).open]).toEqual(['failed', 'it went wrong in the middle', false])
})

test('a dry run plans and changes nothing: no locks, no events', async () => {
  const id = await start('write', { steps: 3, pause: 1 }, { mode: 'plan', locks: [] })
  const run = await ended(id)
  const { rows } = await db.query('SELECT count(*)::int AS effects FROM effects')
  expect([run.state, rows[0].effects, await line.events(id)]).toEqual(['succeeded', 0, []])
})

test('another installation that holds the lock in the target is waited for, and no attempt is burnt', async () => {
  await db.query(`SELECT pg_advisory_lock(hashtextextended('dbops:x', 0))`)
  const id = await start('write', { steps: 1, pause: 1 }, { locks: [{ name: 'x', exclusive: true }] })
  await until('it waits for the other installation', async () => (await run(id)).waitingFor === 'another installation')
  await db.query('SELECT pg_advisory_unlock_all()')
  const done = await ended(id)
  expect([done.state, done.attempt]).toEqual(['succeeded', 1])
})

test('a run that waits for its retry while its old job still lies in Redis keeps its back-off, and is executed', async () => {
  await maintainer.stop()
  const id = await start('write', { steps: 1, pause: 1 })
  await until('its job is in Redis', async () => (await run(id)).dispatchedAt)
  const taken = await line.ledger.transaction(dbx =>
    claim(dbx, { run: id, dispatch: 0, key: uuidv7(), worker: 'elsewhere', tasks: ['pg.write'], leaseMs: 30_000 }),
  )
  if (taken.kind !== 'claimed') throw new Error(taken.kind)
  await requeue(line.ledger, { fence: taken.run.fence!, after: 4_000, as: 'retry' })
  const { notBefore } = await run(id)
  maintainer = await startMaintainer()
  const done = await ended(id)
  const { rows } = await db.query('SELECT min(at) AS at FROM effects')
  expect([done.state, done.attempt, rows[0].at >= notBefore]).toEqual(['succeeded', 2, true])
})

test('a FLUSHALL while runs wait: every run ends once', async () => {
  const ids = await Promise.all(
    Array.from({ length: 6 }, (_, i) => start('write', { steps: 3, pause: 100 }, { operation: `pg.write:${i}` })),
  )
  await steps(ids[0]!, 1)
  const redis = new Redis(line.redisUrl)
  await redis.flushall()
  redis.disconnect()
  const runs = await Promise.all(ids.map(id => ended(id, 40_000)))
  expect(runs.map(r => [r.state, r.attempt])).toEqual(ids.map(() => ['succeeded', 1]))
})

test('three waiters for one exclusive lock go in order', async () => {
  const lock = { locks: [{ name: 'x', exclusive: true }] }
  const ids: string[] = []
  for (let i = 0; i < 4; i++) ids.push(await start('write', { steps: 1, pause: 200 }, lock))
  await Promise.all(ids.map(id => ended(id)))
  const { rows } = await db.query('SELECT run FROM effects ORDER BY at')
  expect(rows.map(row => row.run)).toEqual(ids)
})

const made: Partial<Birth> = { recovers: true, locks: [{ name: 'dump:metadata', exclusive: true }], spec: {} as Birth['spec'] }
const startMaintainer = () => line.start('apps/pg-maintainer/test/line/main.ts')

/** As the scheduler would bear it: the catalogue does not know these tasks. */
async function start(task: string, params: Record<string, unknown>, over: Partial<Birth> = {}): Promise<string> {
  const entries = 'dump' in params ? { dump: { target: 'core', stores: ['main'] } } : {}
  const b = birth({ task: `pg.${task}`, operation: `pg.${task}`, backoffMs: 100, timeoutMs: 120_000, ...over, spec: { params, entries } })
  await bear(line.ledger, b)
  return b.id
}
const run = async (id: string): Promise<Run> => (await find(line.ledger, id))[0]!
const final = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped'])
async function ended(id: string, within = 30_000): Promise<Run> {
  return until(
    `run ${id} ends; maintainer: ${maintainer.lines.slice(-3).join('\n')}; scheduler: ${scheduler.lines.slice(-3).join('\n')}`,
    async () => {
      const found = await run(id)
      if (!final.has(found.state))
        throw new Error(JSON.stringify([found.state, found.attempt, found.waitingFor, found.error, found.leaseUntil]))
      return found
    },
    { within },
  )
}
const steps = (id: string, count: number) =>
  until(
    `run ${id} has written ${count} rows`,
    async () => ((await db.query('SELECT count(*)::int AS n FROM effects WHERE run = $1', [id])).rows[0].n as number) >= count,
    { within: 20_000 },
  )
const fencesOf = async (id: string): Promise<number[]> =>
  (await db.query('SELECT fence::int FROM effects WHERE run = $1 GROUP BY fence ORDER BY fence', [id])).rows.map(row => row.fence as number)
const world = async () => (await db.query('SELECT open FROM world')).rows[0] as { open: boolean }
const sessions = async () =>
  (
    await db.query(
      `SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'dbops:%pg.%' AND application_name NOT LIKE '%:probe:%' AND datname = current_database()`,
    )
  ).rows
const files = (): string[] => {
  const store = join(line.folder, 'store')
  return existsSync(store)
    ? readdirSync(store, { recursive: true, withFileTypes: true })
        .filter(entry => entry.isFile())
        .map(entry => join(entry.parentPath, entry.name).slice(store.length + 1))
    : []
}
/** The ledger takes no writes for the moment, so that the end cannot be written; then the process is killed. */
async function killBetweenManifestAndEnd(id: string) {
  await until('the run is in hand', async () => (await run(id)).state === 'running')
  const holder = new Client(line.ledgerUrl)
  await holder.connect()
  await holder.query('BEGIN')
  await holder.query(`SELECT 1 FROM dbops.runs WHERE id = $1 FOR UPDATE`, [id])
  await until('the manifest is sealed', () => files().some(file => file.endsWith('manifest.json') && !file.startsWith('.drafts')))
  maintainer.kill('SIGKILL')
  await maintainer.ended
  await holder.query('ROLLBACK')
  await holder.end()
}
