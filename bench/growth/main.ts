// What a year of the platform's plan leaves in the ledger, 10,000 schedules of it: the size of each table, what every request then costs, and how long a tick takes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { nextSlot } from '@dbops/contract/slots'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { sumUpRuns } from '@dbops/ledger/run-summaries'
import { anyDue, reconcile, saveTargets } from '@dbops/ledger/schedules'
import { tableSizes } from '@dbops/ledger/sizes'
import { openLog } from '@dbops/runtime/log'
import { plan } from '@dbops/runtime/plan'
import { tellerOf } from '@dbops/runtime/run-events'
import { createDatabase, startPostgres } from '@dbops/servers/postgres'
import { Client } from 'pg'
import { materialise, type Planner } from '../../apps/scheduler/src/tick.ts'
import { machine, print, quantile, quick, type Row, say } from '../report.ts'
import { fillYear } from './year/fill.ts'
import { copiesFor, planOf } from './year/plan.ts'
import { type Known, loops, requestsOf } from './year/requests.ts'

const root = join(import.meta.dirname, '../..')
const copies = copiesFor(10_000)
const days = quick ? 35 : 365
/** A table with more rows than this is never read from end to end. */
const large = 10_000
/** All that is asked for there is all that there is. */
const wholly = new Map([
  ['schedules', new Set(['schedules', 'freshness', 'doctor', 'status'])],
  ['alerts', new Set<string>()],
])
const [minute, day] = [60_000, 86_400_000]

const begunAt = performance.now()
// A command that was forgotten is told now, and not after the year.
requestsOf({ run: '', alert: '', finding: '', artifact: '', deadLetter: '' })
await using started = new AsyncDisposableStack()
say('starting PostgreSQL')
const server = await startPostgres({
  settings: { 'pg_stat_statements.max': '10000', max_wal_size: '8GB', shared_buffers: '256MB', autovacuum: 'off' },
})
started.defer(() => server.stop())
const observer = await connected(server.url)
await observer.query(`CREATE EXTENSION pg_stat_statements; CREATE ROLE ours LOGIN SUPERUSER PASSWORD 'secret'`)
const database = await createDatabase(server.url, 'dbops')
const url = Object.assign(new URL(database), { username: 'ours', password: 'secret' }).href
const ledger = await openLedger({ url, name: 'bench', sessions: 1 })
started.defer(() => ledger.close())

const config = planOf(copies)
const planner = {
  config,
  timers: { heartbeat: 5_000, lease: 30_000, reap: 5_000 },
  log: openLog('scheduler', 'bench', 'silent'),
  ...tellerOf('scheduler', 'bench'),
} as unknown as Planner
const bornAt = new Date(Math.floor(Date.now() / minute) * minute)
const schedules = plan(config)
say(`${schedules.length} schedules on ${copies} targets`)
await ledger.transaction(async db => {
  await saveTargets(
    db,
    Object.keys(config.targets).map(name => ({ name, engine: 'pg', heavy: 2, light: 4, labels: {} })),
  )
  await reconcile(db, schedules, ({ spec }) => (spec.cron === undefined ? null : nextSlot(spec.cron, spec.zone, bornAt)))
})

const filler = await connected(database)
await filler.query('set search_path = dbops')
const inAll = await fillYear(filler, copies, days, bornAt)
// Thrown away afterwards, but measured as what is kept.
await observer.query('ALTER SYSTEM SET fsync = on')
await observer.query('SELECT pg_reload_conf()')
await observer.query('CHECKPOINT')

const rows: Row[] = []
const sizes = await tableSizes(ledger)
for (const { table, rows: count, bytes } of sizes.filter(each => each.rows > 100))
  rows.push({ what: `${table}: ${Math.round(count).toLocaleString('en')} rows`, unit: 'MiB', ours: [bytes / 2 ** 20] })
rows.push({ what: 'all of it', unit: 'MiB', ours: [sizes.reduce((sum, { bytes }) => sum + bytes, 0) / 2 ** 20] })
rows.push({ what: 'for each run', unit: 'KiB', ours: [sizes.reduce((sum, { bytes }) => sum + bytes, 0) / 1_024 / inAll] })

const scanned: string[] = []
const known = await findKnown()
// What was counted on the way here would be seen only later.
await filler.query('select pg_stat_force_next_flush()')
say('the oldest day is summed up')
const summed = await theOldestDay()
rows.push(
  { what: `${summed.runs} runs of a day summed up`, unit: 's', ours: [summed.ms / 1_000] },
  {
    what: 'a batch of 500',
    unit: 'ms',
    ours: summed.batches,
    goal: 'by an index',
    met: !scanned.some(one => one.startsWith('loop: sum up')),
  },
  { what: 'what is left of a run that is summed up', unit: 'bytes', ours: [summed.bytes] },
)
// Whether sums are read whole is seen only where there are many.
await filler.query('vacuum (analyze) run_summaries')

say('the requests of the command line')
for (const request of requestsOf(known)) {
  const words = request.join(' ')
  const took: number[] = []
  for (let i = 0; i < (quick ? 1 : 3); i++) took.push(await measured(words, request[0]!, () => dbops(request)))
  rows.push({
    what: `dbops ${words}`,
    unit: 'ms of the ledger',
    ours: took,
    goal: 'by an index',
    met: !scanned.some(one => one.startsWith(`${words}:`)),
  })
}
say('the loops of the scheduler')
for (const [name, ask] of Object.entries(loops)) {
  const took: number[] = []
  for (let i = 0; i < (quick ? 1 : 3); i++) took.push(await measured(name, name, () => undone(ask)))
  rows.push({
    what: `loop: ${name}`,
    unit: 'ms of the ledger',
    ours: took,
    goal: 'by an index',
    met: !scanned.some(one => one.startsWith(`${name}:`)),
  })
}

say('a day of ticks, on a clock of its own')
const { idle, busy, perTurn, slots } = await aDayOfTicks()
rows.push(
  { what: 'tick with nothing due', unit: 'ms of the ledger', ours: [quantile(idle, 0.5)] },
  { what: `tick with slots due, p50 (${busy.length} ticks, ${slots} slots)`, unit: 'ms of the ledger', ours: [quantile(busy, 0.5)] },
  {
    what: 'tick with slots due, p99',
    unit: 'ms of the ledger',
    ours: [quantile(busy, 0.99)],
    goal: '≤ 50 ms',
    met: quantile(busy, 0.99) <= 50,
  },
  { what: 'one turn of it, of at most 50 schedules, p99', unit: 'ms of the ledger', ours: [quantile(perTurn, 0.99)] },
)
say('everything due at once')
const stampede = await allAtOnce()
rows.push({ what: `all ${stampede.born} schedules due in one second: until the last is born`, unit: 's', ours: [stampede.ms / 1_000] })
print({
  area: 'growth',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: {
    node: process.versions.node,
    postgres: (await observer.query<{ server_version: string }>('SHOW server_version')).rows[0]!.server_version,
  },
  rows,
  notes: [
    `${days} days, ${schedules.length} schedules on ${copies} targets, ${inAll.toLocaleString('en')} runs; ${quick ? 'five weeks in place of a year' : 'the rows were made by SQL, indexes built after them: such a table is as dense as it gets'}`,
    'ms of the ledger: what pg_stat_statements says of all statements of that role, the opening of the session included',
    `by an index: pg_stat_user_tables counts no sequential scan of a table of more than ${large.toLocaleString('en')} rows; schedules are read whole where all of them are asked for`,
    ...(scanned.length ? scanned.map(one => `read from end to end: ${one}`) : ['nothing was read from end to end']),
  ],
})

/** One tick of a second, as the scheduler makes it. */
async function tick(now: Date): Promise<number[]> {
  const turns: number[] = []
  let more = await anyDue(ledger, now)
  while (more) {
    const before = await serverMs()
    more = await ledger.transaction(db => materialise(db, planner, now, 50))
    turns.push((await serverMs()) - before)
  }
  return turns
}

/** Each minute of the day that follows; what was born is taken to have ended by the next hour. */
async function aDayOfTicks() {
  const [idle, busy, perTurn]: number[][] = [[], [], []]
  const before = await runsThere()
  for (let at = bornAt.getTime() + minute; at <= bornAt.getTime() + day; at += minute) {
    const from = await serverMs()
    const turns = await tick(new Date(at))
    const ms = (await serverMs()) - from
    ;(turns.length ? busy! : idle!).push(ms)
    perTurn!.push(...turns)
    if (at % (60 * minute) === 0) await endAll()
  }
  return { idle: idle!, busy: busy!, perTurn: perTurn!, slots: (await runsThere()) - before }
}
async function allAtOnce() {
  await endAll()
  const at = new Date(bornAt.getTime() + 2 * day)
  await observe(`update schedules set due_at = $1 where spec ->> 'cron' is not null`, [at])
  const [before, begun] = [await runsThere(), performance.now()]
  await tick(at)
  return { ms: performance.now() - begun, born: (await runsThere()) - before }
}
async function theOldestDay() {
  const { rows: oldest } = await ledger.query<{ at: Date }>('select queued_at as at from runs order by id limit 1')
  const before = new Date(oldest[0]!.at.getTime() + day)
  const [bytes, begun] = [await bytesOf('run_summaries'), performance.now()]
  const batches: number[] = []
  let inAll = 0
  // In one session, as in a scheduler: what was prepared once is planned anew for a while, and then no more.
  const session = await openLedger({ url, name: 'loop', sessions: 1 })
  await measured('loop: sum up runs', 'sum up', async () => {
    for (;;) {
      const at = performance.now()
      const count = await sumUpRuns(session, before)
      inAll += count
      if (!count) break
      batches.push(performance.now() - at)
    }
    await session.close()
  })
  return { runs: inAll, ms: performance.now() - begun, batches, bytes: ((await bytesOf('run_summaries')) - bytes) / inAll }
}
/** In place of a maintainer. */
async function endAll() {
  await observe(`delete from run_locks`)
  await observe(`update runs set state = 'succeeded', started_at = queued_at, finished_at = now() where state = 'queued'`)
}

/** Milliseconds that the ledger worked for `work`, with the tables that it read from end to end. */
async function measured(words: string, command: string, work: () => Promise<void>): Promise<number> {
  const [before, ms] = [await scans(), await serverMs()]
  await work()
  await quiet()
  const took = (await serverMs()) - ms
  for (const [table, count] of await scans())
    if (count > (before.get(table) ?? 0) && !wholly.get(table)?.has(command)) {
      const found = `${words}: ${table}`
      if (!scanned.includes(found)) scanned.push(found)
    }
  return took
}
async function dbops(request: string[]): Promise<void> {
  const child = spawn(process.execPath, [join(root, 'apps/cli/src/main.ts'), ...request, '--json'], {
    env: { ...process.env, DBOPS_LEDGER_URL: url },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.on('data', (text: Buffer) => (said += text))
  const [code] = (await once(child, 'exit')) as [number | null]
  // 1, 4: there is something wrong, or nothing to be done; both after the ledger was asked.
  if (code === null || ![0, 1, 4].includes(code)) throw new Error(`dbops ${request.join(' ')} ended with ${code}: ${said}`)
}
async function undone(ask: (db: Ledger, now: Date) => Promise<unknown>): Promise<void> {
  const one = await openLedger({ url, name: 'loop', sessions: 1 })
  const enough = new Error('undone')
  try {
    await one.transaction(async db => {
      await ask(db as Ledger, bornAt)
      throw enough
    })
  } catch (error) {
    if (error !== enough) throw error
  } finally {
    await one.close()
  }
}
/** What a session has counted is seen once it has ended. */
async function quiet(): Promise<void> {
  const others = `SELECT 1 FROM pg_stat_activity WHERE datname = 'dbops' AND application_name ~ '^dbops:(cli|loop)'`
  while ((await observer.query(others)).rows.length) await new Promise(resolve => setTimeout(resolve, 20))
}
async function scans(): Promise<Map<string, number>> {
  const { rows: counted } = await filler.query<{ table: string; scans: string }>(
    `select s.relname as table, s.seq_scan as scans from pg_stat_user_tables s join pg_class c on c.oid = s.relid
     where s.schemaname = 'dbops' and c.reltuples > $1`,
    [large],
  )
  return new Map(counted.map(({ table, scans: count }) => [table, Number(count)]))
}
async function serverMs(): Promise<number> {
  const { rows: sum } = await observer.query<{ ms: number }>(
    `SELECT coalesce(sum(total_exec_time + total_plan_time), 0)::float8 AS ms FROM pg_stat_statements(false) WHERE userid = 'ours'::regrole`,
  )
  return sum[0]!.ms
}
async function observe<Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> {
  return (await filler.query<Row>(sql, values)).rows
}
async function runsThere(): Promise<number> {
  return (await observe<{ n: number }>('select count(*)::float8 as n from runs'))[0]!.n
}
async function bytesOf(table: string): Promise<number> {
  return (await observe<{ n: number }>('select pg_total_relation_size($1::regclass)::float8 as n', [table]))[0]!.n
}

async function findKnown(): Promise<Known> {
  const { rows: found } = await filler.query<Known>(`
    select (select right(id::text, 8) from runs where state = 'succeeded' and queued_at > now() - interval '3 days' limit 1) as run,
           (select right(id::text, 8) from episodes where state = 'firing' limit 1) as alert, (select right(id::text, 8) from findings where state = 'open' limit 1) as finding,
           (select right(id::text, 8) from artifacts limit 1) as artifact, (select right(id::text, 8) from dead_letters limit 1) as "deadLetter"`)
  return found[0]!
}
async function connected(to: string): Promise<Client> {
  const client = new Client(to)
  await client.connect()
  started.defer(() => client.end())
  return client
}
