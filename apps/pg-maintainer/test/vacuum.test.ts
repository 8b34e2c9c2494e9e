// pg.vacuum on real tables: what it does, how it proves it, and every way in which VACUUM says success and did nothing.
import { until } from '@dbops/testing/until'
import { afterEach, describe, expect, test } from 'vitest'
import vacuum from '../src/tasks/vacuum.ts'
import { attempt, carryOut, type Ground, ground, installation, once } from './harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

const liveRows = `
  CREATE SCHEMA core;
  CREATE TABLE core.outbox (id int, note text) WITH (autovacuum_enabled = off);
  INSERT INTO core.outbox SELECT n, 'x' FROM generate_series(1, 1000) n;`
const deadRows = `${liveRows}
  DELETE FROM core.outbox WHERE id <= 400;
  SELECT pg_stat_force_next_flush();`
const made = async (setup = deadRows) => {
  const one = await ground(setup)
  grounds.push(one)
  return one
}
const outbox = { params: { tables: ['core.outbox'] } }

describe('pg.vacuum', () => {
  test('removes the dead rows, and proves it', async () => {
    const { url } = await made()
    const { facts, proof } = await once(vacuum, url, outbox)
    expect([facts, proof]).toMatchObject([{ tables: [{ table: 'core.outbox', deadBefore: 400, deadAfter: 0 }] }, { ok: true }])
  })

  test('plans with sizes, dead rows and the number from which autovacuum would come', async () => {
    const { url } = await made(`${deadRows} ANALYZE core.outbox; SELECT pg_stat_force_next_flush();`)
    const tried = await attempt(vacuum, url, outbox)
    const plan = await vacuum.plan!(tried.c)
    await tried.close()
    expect(plan).toMatchObject({ tables: [{ table: 'core.outbox', dead: 400, live: 600, autovacuumAt: 170, lastVacuum: null }] })
  })

  test('gathers statistics unless told not to', async () => {
    const { url, sql } = await made()
    await once(vacuum, url, { params: { tables: ['core.outbox'], analyze: false } })
    const [first] = await sql(`SELECT last_analyze FROM pg_stat_user_tables`)
    await once(vacuum, url, outbox)
    const [second] = await sql<{ last_analyze: Date }>(`SELECT last_analyze FROM pg_stat_user_tables`)
    expect([first, second]).toEqual([{ last_analyze: null }, { last_analyze: expect.any(Date) as Date }])
  })

  test('a role that does not own the table gets the tag of a success, and the run fails with the grant that is missing', async () => {
    const place = await made()
    const role = await place.role()
    await expect(once(vacuum, place.as(role), outbox)).rejects.toMatchObject({
      name: 'Permanent',
      code: 'vacuum_skipped',
      message: expect.stringMatching(/skipped core.outbox and called it a success: .*outbox/) as string,
      hint: 'only the owner may: GRANT postgres to the role of this target',
    })
  })

  test('a member of the owner may', async () => {
    const place = await made()
    const [owner, role] = [await place.role(), await place.role()]
    await place.sql(`GRANT ${owner} TO ${role}; ALTER TABLE core.outbox OWNER TO ${owner}; GRANT USAGE, CREATE ON SCHEMA core TO ${owner}`)
    const { proof } = await once(vacuum, place.as(role), outbox)
    expect(proof.ok).toBe(true)
  })

  test('its proof says no where nothing has been vacuumed since the facts began', async () => {
    const { url } = await made()
    const tried = await attempt(vacuum, url, outbox)
    const facts = await vacuum.run(tried.c)
    const later = {
      tables: (facts.tables as object[]).map(one => ({ ...one, startedAt: new Date(Date.now() + 60_000).toISOString() })),
      analyzed: [],
      left: 0,
    }
    const proof = await vacuum.prove!(tried.c, later)
    await tried.close()
    expect(proof).toMatchObject({ ok: false, reason: expect.stringContaining('last_vacuum did not move') as string })
  })

  test('an old snapshot keeps the rows: the verdict names the session that holds it', async () => {
    const place = await made(liveRows)
    const holder = await place.client('nightly report')
    await holder.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`)
    await place.sql(`DELETE FROM core.outbox WHERE id <= 900; SELECT pg_stat_force_next_flush()`)
    const { proof } = await once(vacuum, place.url, outbox)
    expect(proof).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/dead rows stay: the horizon is held by session \d+ "nightly report"/) as string,
    })
  })

  test.each<[string, string, number, boolean, RegExp]>([
    [
      'at least half went',
      'beside the success',
      700,
      true,
      /fell from 700 to 300; those that stay are held by session \d+ "nightly report"/,
    ],
    ['less than half went', 'as the failure', 900, false, /500 of 900 dead rows stay: the horizon is held by session \d+ "nightly report"/],
  ])(
    'rows that were dead before the snapshot go: where %s, whoever keeps the rest is named %s',
    async (_went, _named, deleted, ok, reason) => {
      const place = await made()
      const holder = await place.client('nightly report')
      const [{ mark }] = (await place.sql<{ mark: string }>(`SELECT pg_current_xact_id()::text AS mark`)) as [{ mark: string }]
      // A snapshot is as old as the oldest transaction of the whole server, and other tests have theirs.
      await until('a snapshot that is younger than the dead rows', async () => {
        await holder.query(`ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ`)
        const { rows } = await holder.query(`SELECT pg_snapshot_xmin(pg_current_snapshot()) > $1::xid8 AS young`, [mark])
        return (rows as { young: boolean }[])[0]!.young
      })
      await place.sql(`DELETE FROM core.outbox WHERE id <= ${deleted}; SELECT pg_stat_force_next_flush()`)
      const { proof } = await once(vacuum, place.url, outbox)
      expect(proof).toMatchObject({ ok, reason: expect.stringMatching(reason) as string })
    },
  )

  test('a transaction that has only written holds the horizon too, without a snapshot', async () => {
    const place = await made(`${liveRows} CREATE TABLE core.other ();`)
    const holder = await place.client('forgotten psql')
    await holder.query(`BEGIN; INSERT INTO core.other DEFAULT VALUES`)
    await place.sql(`DELETE FROM core.outbox WHERE id <= 900; SELECT pg_stat_force_next_flush()`)
    const { proof } = await once(vacuum, place.url, outbox)
    expect(proof.reason).toMatch(/held by session \d+ "forgotten psql" of postgres \(idle in transaction\)/)
  })

  test('rows that our own dump keeps are no failure, and the dump is named by its fence', async () => {
    const place = await made(liveRows)
    const holder = await place.client(`dbops:${installation}:17:pg.dump`)
    await holder.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`)
    await place.sql(`DELETE FROM core.outbox WHERE id <= 900; SELECT pg_stat_force_next_flush()`)
    const { proof } = await once(vacuum, place.url, outbox)
    expect(proof).toMatchObject({ ok: true, reason: expect.stringContaining('until our own dump (pg.dump, fence 17) is done') as string })
  })

  test('the dump of another installation is a holder like any other', async () => {
    const place = await made(liveRows)
    const holder = await place.client(`dbops:00000000:17:pg.dump`)
    await holder.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`)
    await place.sql(`DELETE FROM core.outbox WHERE id <= 900; SELECT pg_stat_force_next_flush()`)
    const { proof } = await once(vacuum, place.url, outbox)
    expect(proof).toMatchObject({ ok: false, reason: expect.stringContaining('"dbops:00000000:17:pg.dump"') as string })
  })

  test('a table that is locked is given up after the lock timeout, and may be tried again', async () => {
    const place = await made()
    const holder = await place.client('a migration')
    await holder.query(`BEGIN; LOCK TABLE core.outbox IN ACCESS EXCLUSIVE MODE`)
    await expect(once(vacuum, place.url, outbox)).rejects.toMatchObject({
      code: '55P03',
      message: expect.stringMatching(
        /^core\.outbox is locked by session \d+ "a migration" of postgres \(idle in transaction\) since \S+: /,
      ) as string,
      hint: expect.stringMatching(/rolls its transaction back.*: SELECT pg_terminate_backend\(\d+\)$/) as string,
    })
  })

  test('where it waits behind a lock that is waited for itself, the first of the queue is named', async () => {
    const place = await made()
    const report = await place.client('a long report')
    await report.query(`BEGIN`)
    await report.query(`SELECT count(*) FROM core.outbox`)
    const migration = await place.client('a migration')
    void migration.query(`ALTER TABLE core.outbox ADD COLUMN late int`).catch(() => undefined)
    await until(
      'it waits',
      async () =>
        (await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = 'a migration' AND wait_event_type = 'Lock'`)).length,
    )
    await expect(once(vacuum, place.url, outbox)).rejects.toMatchObject({
      code: '55P03',
      message: expect.stringMatching(/^core\.outbox is locked by session \d+ "a long report" of postgres/) as string,
    })
  })

  describe('that takes long', () => {
    // 400 pages, and a tenth of a second for every second one.
    const slow = async () => {
      const place = await made(`
        CREATE SCHEMA core;
        CREATE TABLE core.outbox (note text) WITH (autovacuum_enabled = off, fillfactor = 10);
        INSERT INTO core.outbox SELECT repeat('x', 400) FROM generate_series(1, 400);
        DELETE FROM core.outbox;`)
      await place.sql(`ALTER DATABASE ${place.name} SET vacuum_cost_delay = 100; ALTER DATABASE ${place.name} SET vacuum_cost_limit = 2`)
      return place
    }

    test('shows how far it is', async () => {
      const { url } = await slow()
      const tried = await attempt(vacuum, url, outbox)
      const running = carryOut(vacuum, tried)
      await until('it told of blocks', () => tried.progress.find(line => / blocks core\.outbox: \w+/.test(line)))
      tried.abort.abort(new Error('enough'))
      await expect(running).rejects.toThrow('enough')
      await tried.close()
    })

    test('stops on the server when it is cancelled', async () => {
      const { url, sql } = await slow()
      const tried = await attempt(vacuum, url, outbox)
      const running = carryOut(vacuum, tried)
      running.catch(() => undefined)
      await until('it runs', async () => (await sql(`SELECT FROM pg_stat_progress_vacuum WHERE datname = current_database()`)).length)
      tried.abort.abort(new Error('cancelled'))
      await expect(running).rejects.toThrow('cancelled')
      await tried.close()
      expect(await sql(`SELECT FROM pg_stat_activity WHERE application_name = $1`, [tried.name])).toEqual([])
    })
  })

  test('a partitioned table is taken apart into its partitions, and analyzed as a whole', async () => {
    const place = await made(`
      CREATE SCHEMA core;
      CREATE TABLE core.log (id int) PARTITION BY RANGE (id);
      CREATE TABLE core.log_1 PARTITION OF core.log FOR VALUES FROM (0) TO (10);
      CREATE TABLE core.log_2 PARTITION OF core.log FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
      CREATE TABLE core."log 2b" PARTITION OF core.log_2 FOR VALUES FROM (10) TO (20);
      INSERT INTO core.log SELECT generate_series(0, 19);`)
    const { facts, proof } = await once(vacuum, place.url, { params: { tables: ['core.log', 'core.log_1'] } })
    const [{ last_analyze }] = (await place.sql(`SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'log'`)) as [
      { last_analyze: Date | null },
    ]
    expect([(facts.tables as { table: string }[]).map(({ table }) => table), facts.analyzed, proof.ok, last_analyze]).toEqual([
      ['core."log 2b"', 'core.log_1'],
      ['core.log'],
      true,
      expect.any(Date) as Date,
    ])
  })

  test('odd names are quoted as the catalogue has them', async () => {
    const place = await made(`
      CREATE SCHEMA "Odd.Schema";
      CREATE TABLE "Odd.Schema"."We""ird; Table" (id int);
      INSERT INTO "Odd.Schema"."We""ird; Table" SELECT generate_series(1, 10);`)
    const { facts } = await once(vacuum, place.url, { params: { tables: ['"Odd.Schema"."We""ird; Table"'] } })
    expect(facts.tables).toMatchObject([{ table: '"Odd.Schema"."We""ird; Table"' }])
  })

  test.each([
    ['core.outbux', 'table_missing', 'core.outbux is not in the database', 'did you mean "core.outbox"?'],
    ['core.Outbox', 'table_missing', 'core.Outbox is not in the database', 'did you mean "core.outbox"?'],
    ['core.recent', 'not_a_table', 'core.recent is a view', 'name a table or a materialized view or a partitioned table'],
  ])('%s is refused before anything is touched', async (table, code, message, hint) => {
    const { url } = await made(`${deadRows} CREATE VIEW core.recent AS SELECT 1 AS one;`)
    await expect(once(vacuum, url, { params: { tables: [table] } })).rejects.toMatchObject({ name: 'Refused', code, message, hint })
  })

  test('a table that is not the first is refused before the first is touched', async () => {
    const { url, sql } = await made()
    await once(vacuum, url, { params: { tables: ['core.outbox', 'core.nothing'] } }).catch(() => undefined)
    expect(await sql(`SELECT last_vacuum FROM pg_stat_user_tables`)).toEqual([{ last_vacuum: null }])
  })

  test('a session that was ended from outside ends the attempt with the reason', async () => {
    const { url, sql } = await made()
    const tried = await attempt(vacuum, url, outbox)
    await sql(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1`, [tried.name])
    await expect(carryOut(vacuum, tried)).rejects.toThrow()
    await tried.close()
    expect(tried.lost).toMatchObject([{ code: 'connection_lost' }])
  })
})
