// What needs a server of its own: one that is killed in the middle of a dump, and horizons that are held for the whole server.
import { createDatabase, startPostgres } from '@dbops/servers/postgres'
import { until } from '@dbops/testing/until'
import { Client, type Connection } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import dump from '../src/tasks/dump.ts'
import vacuum from '../src/tasks/vacuum.ts'
import { attempt, carryOut, type Ground, ground, once } from './harness.ts'

const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end()
})

test('a server that dies in the middle of a dump is named as the reason, and the attempt still closes', async () => {
  const { server, place } = await ownServer(`
    CREATE SCHEMA core;
    CREATE TABLE core.tenants AS
      SELECT n AS id, noise FROM generate_series(1, 60000) n, LATERAL (SELECT string_agg(md5((n * 31 + i)::text), '') AS noise FROM generate_series(1, 30) i) AS text;`)
  const dumps = { target: 'core', schema: 'all', data: ['core.tenants'], parents: 'refuse', stores: ['main'] }
  const tried = await attempt(dump, place.url, { params: { dump: 'metadata' }, entries: { dump: dumps } })
  ends.push(() => tried.close())
  const failing = carryOut(dump, tried).catch((error: unknown) => error)
  await until('rows are being dumped', () => tried.progress.length)
  process.kill(server.pid!, 'SIGQUIT')
  expect([await failing, tried.lost]).toMatchObject([
    expect.objectContaining({
      message: expect.stringMatching(/terminating connection|server closed the connection|ended the session|the session is lost/) as string,
    }),
    [{ code: 'connection_lost' }],
  ])
})

describe('pg.vacuum names who holds the horizon:', () => {
  const outbox = { params: { tables: ['core.outbox'] } }
  const rows = `
    CREATE SCHEMA core;
    CREATE TABLE core.outbox (id int) WITH (autovacuum_enabled = off);
    INSERT INTO core.outbox SELECT generate_series(1, 1000);`
  const die = `DELETE FROM core.outbox WHERE id <= 900; SELECT pg_stat_force_next_flush()`

  test('a replication slot whose standby went away', async () => {
    const { place } = await ownServer(rows)
    await place.sql(`SELECT pg_create_physical_replication_slot('standby_1')`)
    const standby = await feedbackOf(place, 'SLOT standby_1')
    await until('the slot has the horizon', async () => (await place.sql(`SELECT FROM pg_replication_slots WHERE xmin IS NOT NULL`)).length)
    await standby.end()
    await until('its reader is gone', async () => (await place.sql(`SELECT FROM pg_replication_slots WHERE NOT active`)).length)
    await place.sql(die)
    const { proof } = await once(vacuum, place.url, outbox)
    expect(proof).toMatchObject({
      ok: false,
      reason: expect.stringContaining(
        'the horizon is held by replication slot "standby_1" (read by nobody). Hint: let its reader catch up, or drop it',
      ) as string,
    })
  })

  test('a standby with feedback', async () => {
    const { place } = await ownServer(rows)
    await feedbackOf(place, '')
    await until(
      'the standby has the horizon',
      async () => (await place.sql(`SELECT FROM pg_stat_replication WHERE backend_xmin IS NOT NULL`)).length,
    )
    await place.sql(die)
    const { proof } = await once(vacuum, place.url, outbox)
    expect(proof).toMatchObject({ ok: false, reason: expect.stringContaining('held by standby "reporting" by its feedback') as string })
  })

  test('a prepared transaction that nobody finished', async () => {
    const { place } = await ownServer(rows)
    const forgotten = await place.client('forgotten')
    await forgotten.query(`BEGIN; CREATE TABLE core.other (); PREPARE TRANSACTION 'order 17'`)
    await forgotten.end()
    await place.sql(die)
    const { proof } = await once(vacuum, place.url, outbox)
    expect(proof).toMatchObject({
      ok: false,
      reason: expect.stringContaining(`held by prepared transaction "order 17" of postgres`) as string,
    })
  })
})

async function ownServer(setup: string) {
  const server = await startPostgres({ settings: { max_prepared_transactions: '2' }, say: () => undefined })
  ends.push(() => server.stop())
  const url = await createDatabase(server.url, 'core')
  const place = await ground(setup, { url, name: 'core', drop: () => Promise.resolve() })
  ends.push(() => place.drop().catch(() => undefined))
  return { server, place }
}

/** Speaks the replication protocol as a standby with hot_standby_feedback does: keeps, from now on, what a query there might need. */
async function feedbackOf(place: Ground, slot: string): Promise<Client> {
  const standby = new Client({ connectionString: place.url, application_name: 'reporting', replication: 'true' } as object)
  standby.on('error', () => undefined)
  await standby.connect()
  ends.push(() => standby.end().catch(() => undefined))
  const [{ xmin, lsn }] = (await place.sql<{ xmin: string; lsn: string }>(
    `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin, pg_current_wal_lsn()::text AS lsn`,
  )) as [{ xmin: string; lsn: string }]
  const { connection } = standby as unknown as { connection: Connection & { sendCopyFromChunk(chunk: Buffer): void } }
  const streaming = new Promise(resolve => connection.once('replicationStart', resolve))
  void standby.query(`START_REPLICATION ${slot} PHYSICAL ${lsn}`).catch(() => undefined)
  await streaming
  // 'h', time, xmin, its epoch, catalog_xmin, its epoch.
  const message = Buffer.alloc(25)
  message.write('h')
  message.writeBigInt64BE(BigInt(Date.now()) * 1_000n, 1)
  message.writeUInt32BE(Number(xmin), 9)
  connection.sendCopyFromChunk(message)
  return standby
}
