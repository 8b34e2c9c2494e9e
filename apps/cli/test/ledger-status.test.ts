// `ledger status`: what is in the ledger, what waits in it, and which backup is one of this ledger and of no other.
import { toEnvelope } from '@dbops/contract/envelope'
import { recordArtifact } from '@dbops/ledger/artifacts'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { publish } from '@dbops/ledger/outbox'
import { freshDatabase } from '@dbops/testing/database'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onTheLine, type Said } from './on-the-line.ts'

let ledger: Ledger
let dbops: (...words: string[]) => Promise<Said>
let database: Awaited<ReturnType<typeof freshDatabase>>

beforeAll(async () => {
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test' })
  dbops = onTheLine({ env: { DBOPS_LEDGER_URL: database.url } })
})
afterAll(() => ledger.close().then(() => database.drop()))

test('an empty one says that it has no dump, and where it is written how it gets one', async () => {
  const { stdout, code } = await dbops('ledger', 'status')
  expect([code, /it has no dump: docs\/operate\/ledger-lost\.md/.test(stdout), /no run is older than 400 days/.test(stdout)]).toEqual([
    0,
    true,
    true,
  ])
})

test('the dump is the newest one of this database on this server; since when runs are summed up and what waits is told, and every table is told with its size', async () => {
  const { rows } = await ledger.query<{ id: string }>('select system_identifier::text as id from pg_control_system()')
  const here = { database: database.name, systemIdentifier: rows[0]!.id }
  await dumped('older', here, 2)
  const newest = await dumped('newest', here, 1)
  await dumped('of-another-server', { ...here, systemIdentifier: '1' }, 0)
  await dumped('of-another-database', { ...here, database: 'core' }, 0)
  await publish(ledger, [
    toEnvelope({
      id: uuidv7(),
      app: 'scheduler',
      environment: 'test',
      at: new Date(),
      event: 'schedule_missed',
      subject: 'pg/core',
      operation: 'pg.dump:rows',
      data: { schedule: 's', from: '2026-01-01T00:00:00.000Z', to: '2026-01-01T00:00:00.000Z', slots: 1, reason: 'late' },
    }),
  ])
  await ledger.query(
    `insert into run_summaries (day, task, target, operation, schedule, mode, state, runs, slots, attempts, busy_ms, longest_ms)
     values ('2025-01-10', 'pg.dump', 'core', 'pg.dump:rows', 's', 'do', 'succeeded', 3, 3, 3, 9, 5), ('2025-03-01', 'pg.dump', 'core', 'pg.dump:rows', 's', 'do', 'failed', 1, 1, 3, 9, 5)`,
  )
  const { records } = await dbops('ledger', 'status', '--json')
  const { dump, outbox, summaries, tables, migrations } = records[0] as {
    dump: { id: string }
    outbox: { due: number }
    summaries: object
    tables: { table: string; bytes: number }[]
    migrations: { name: string }[]
  }
  const { rows: there } = await ledger.query<{ n: number }>(`select count(*)::int as n from pg_tables where schemaname = 'dbops'`)
  expect([dump.id, outbox.due, summaries, tables.length, tables.every(({ bytes }) => bytes > 0), migrations[0]!.name]).toEqual([
    newest,
    1,
    { from: '2025-01-10', to: '2025-03-01' },
    there[0]!.n,
    true,
    '0001-runs.sql',
  ])
})

test('runs from so long ago that there are only sums of them: it says up to which day', async () => {
  await ledger.query(
    `insert into run_summaries (day, task, target, operation, schedule, mode, state, runs, slots, attempts, busy_ms, longest_ms)
     values (current_date - 400, 'pg.dump', 'core', 'pg.dump:rows', 's', 'do', 'succeeded', 3, 3, 3, 9, 5)`,
  )
  const said = [await dbops('runs', '--since', '500d'), await dbops('runs', '--since', '30d')]
  expect(said.map(({ stdout }) => /^runs up to \d{4}-\d\d-\d\d are summed up by day/m.test(stdout))).toEqual([true, false])
})

/** Lists a dump that was made so many hours ago of that database. Returns its id. */
async function dumped(name: string, server: Record<string, string>, hours: number): Promise<string> {
  const id = uuidv7()
  await recordArtifact(ledger, {
    id,
    run: uuidv7(),
    fence: 1,
    environment: 'test',
    engine: 'pg',
    target: 'ledger',
    kind: 'dump',
    name,
    operation: `pg.dump:${name}`,
    store: 'main',
    place: name,
    location: `file:///store/${name}`,
    bytes: 1,
    files: 1,
    createdAt: new Date(Date.now() - hours * 3_600_000),
    manifest: { server },
  })
  return id
}
