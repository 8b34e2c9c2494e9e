// Who is named as the holder of the horizon, where many sessions have the same one: the one whose end would move it.
import { createDatabase, startPostgres } from '@dbops/servers/postgres'
import { until } from '@dbops/testing/until'
import type { Client } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import wraparound from '../src/probes/wraparound.ts'
import vacuum from '../src/tasks/vacuum.ts'
import vacuumFull from '../src/tasks/vacuum-full.ts'
import { type Ground, ground, lookOnce, once } from './harness.ts'

// Of its own: a snapshot is as old as the oldest transaction of the whole server, and other tests have theirs.
let server: Awaited<ReturnType<typeof startPostgres>>
beforeAll(async () => {
  server = await startPostgres({ settings: { max_prepared_transactions: '2' }, say: () => undefined })
})
afterAll(() => server.stop())

let place: Ground
beforeEach(async () => {
  place = await groundIn('core')
  await place.sql(`
    CREATE TABLE core.outbox (id int) WITH (autovacuum_enabled = off);
    INSERT INTO core.outbox SELECT generate_series(1, 1000);
    CREATE TABLE core.orders AS SELECT 1 AS id, 'new' AS state;`)
})
const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

test('a writer that forgot its transaction, and not one of those that wait for its row, whoever came first', async () => {
  const waiters = [await place.client('early'), await place.client('earlier'), await place.client('forgotten'), await place.client('late')]
  const writer = waiters.splice(2, 1)[0]!
  await write(writer)
  await queue(waiters)
  expect(await verdict()).toMatch(/held by session \d+ "forgotten" of postgres \(idle in transaction\) since \S+, 3 more behind it\. Hint/)
})

test('a writer, although the transaction that waits for it began earlier', async () => {
  const [waiter, writer] = [await place.client('waiter'), await place.client('forgotten')]
  await waiter.query('BEGIN')
  await waiter.query('SELECT 1')
  await write(writer)
  await queue([waiter], 'BEGIN')
  expect(await verdict()).toMatch(/held by session \d+ "forgotten"/)
})

test('a prepared transaction, and not a session that waits for its row', async () => {
  const [waiter, coordinator] = [await place.client('waiter'), await place.client('coordinator')]
  await coordinator.query(`BEGIN; UPDATE core.orders SET state = 'paid'; PREPARE TRANSACTION 'it''s order 17'`)
  await queue([waiter])
  const told = await verdict()
  await place.sql(`ROLLBACK PREPARED 'it''s order 17'`)
  expect(told).toMatch(
    /held by prepared transaction "it's order 17" of postgres since \S+, 1 more behind it\. Hint: .*ROLLBACK PREPARED 'it''s order 17'/,
  )
})

test('an old snapshot, although a transaction that has just begun got the very number that it waits for', async () => {
  const [report, writer] = [await place.client('report'), await place.client('writer')]
  await report.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await report.query('SELECT 1')
  await write(writer)
  expect(await verdict()).toMatch(/held by session \d+ "report"/)
})

test('a writer of another database, where a statement here sees it only', async () => {
  const other = await groundIn('other')
  await other.sql('CREATE TABLE core.t ()')
  const writer = await other.client('forgotten')
  await writer.query('BEGIN; INSERT INTO core.t DEFAULT VALUES')
  const sleeper = await place.client('busy')
  const sleeping = sleeper.query('SELECT pg_sleep(60)').catch(() => undefined)
  await until('it sleeps', async () => (await place.sql(`SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)).length)
  const told = await verdict()
  await place.sql(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'busy'`)
  await sleeping
  await writer.query('ROLLBACK')
  expect(told).toMatch(/held by session \d+ "forgotten" of postgres \(idle in transaction\) in database "other"/)
})

test('a writer of another database, where pg.vacuum-full copied dead rows for its own snapshot', async () => {
  const other = await groundIn('other')
  await other.sql('CREATE TABLE core.t ()')
  const writer = await other.client('forgotten')
  await writer.query('BEGIN; INSERT INTO core.t DEFAULT VALUES')
  await place.sql(`DELETE FROM core.outbox WHERE id <= 900`)
  const { proof } = await once(vacuumFull, place.url, { params: { tables: ['core.outbox'] } })
  await writer.query('ROLLBACK')
  expect([proof.ok, proof.reason]).toEqual([
    false,
    expect.stringMatching(/rewritten with 900 dead rows in it: .* held by session \d+ "forgotten" .* in database "other"/),
  ])
})

test('one that waits for a lock itself, with whom it waits for', async () => {
  const [holder, first, second] = [await place.client('migration'), await place.client('writer'), await place.client('reader')]
  await write(first)
  await holder.query('BEGIN')
  await holder.query('LOCK TABLE core.outbox IN SHARE MODE')
  await place.sql('SELECT pg_stat_force_next_flush()')
  const waiting = first.query('INSERT INTO core.outbox VALUES (1)').catch(() => undefined)
  await until('it waits', waits('writer'))
  await second.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await second.query('SELECT 1')
  const { result } = await lookOnce(wraparound, place.url)
  await holder.query('ROLLBACK')
  await waiting
  expect((result.holders as { who: string }[])[0]!.who).toMatch(
    /^session \d+ "writer" of postgres \(active\) since \S+, which waits for session \d+ "migration" of postgres \(idle in transaction\)/,
  )
})

async function groundIn(database: string): Promise<Ground> {
  const url = await createDatabase(server.url, database)
  const made = await ground('CREATE SCHEMA core', { url, name: database, drop: () => Promise.resolve() })
  ends.push(async () => {
    await made.drop()
    const { Client } = await import('pg')
    const control = new Client({ connectionString: server.url })
    await control.connect()
    await control.query(`DROP DATABASE ${database} WITH (FORCE)`)
    await control.end()
  })
  return made
}

/** Leaves it idle in transaction with a number and without a snapshot. */
async function write(client: Client) {
  await client.query('BEGIN')
  await client.query(`UPDATE core.orders SET state = 'paid'`)
}

const waits = (name: string) => async () =>
  (await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, [name])).length

/** All of them wait for the row that somebody has changed. */
async function queue(clients: Client[], begun?: 'BEGIN') {
  for (const client of clients) {
    if (!begun) await client.query('BEGIN')
    void client.query(`UPDATE core.orders SET state = 'sent'`).catch(() => undefined)
  }
  await until(
    'all wait',
    async () => (await place.sql(`SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)).length === clients.length,
  )
}

async function verdict(): Promise<string> {
  await place.sql(`DELETE FROM core.outbox WHERE id <= 900`)
  await place.sql(`SELECT pg_stat_force_next_flush()`)
  const { proof } = await once(vacuum, place.url, { params: { tables: ['core.outbox'] } })
  return proof.reason
}
