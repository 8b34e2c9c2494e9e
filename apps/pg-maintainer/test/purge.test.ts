// pg.purge on real tables: exactly the rows of its policy by each of its ways, and whatever makes a purge delete too much, too little or nothing.
import { afterEach, describe, expect, test } from 'vitest'
import purge from '../src/tasks/purge.ts'
import { attempt, carryOut, type Ground, ground, once, type Try } from './harness.ts'

const grounds: Ground[] = []
const tries: Try[] = []
afterEach(async () => {
  for (const one of tries.splice(0)) await one.close()
  for (const one of grounds.splice(0)) await one.drop()
})

const cutOff = new Date('2026-06-01T00:00:00Z')
/** So early that only a few rows in one block are past it. */
const early = new Date('2026-05-12T00:00:00Z')
// 1,000 rows, one a day up to the cut-off and as many after it; a third PUBLISHED, a third PENDING, a third FAILED; some never published.
const outbox = `
  CREATE SCHEMA core;
  CREATE TABLE core.outbox (id int PRIMARY KEY, status text NOT NULL, published_at timestamptz, note text DEFAULT repeat('x', 200));
  INSERT INTO core.outbox
    SELECT n, (ARRAY['PUBLISHED', 'PENDING', 'FAILED'])[n % 3 + 1], CASE WHEN n % 10 > 0 THEN timestamptz '2026-06-01Z' + (n - 500) * interval '1 hour' END
      FROM generate_series(1, 1000) n;
  ANALYZE core.outbox;`
const byIndex = `${outbox} CREATE INDEX outbox_published ON core.outbox (published_at) WHERE status = 'PUBLISHED';`
const made = async (setup = outbox) => {
  const one = await ground(setup)
  grounds.push(one)
  return one
}
const policy = (more: Record<string, unknown> = {}, at = cutOff) => ({
  params: { policy: 'outbox' },
  entries: {
    policy: { target: 'core', table: 'core.outbox', where: "status = 'PUBLISHED'", by: 'published_at', age: '7d', atMost: 95, ...more },
  },
  cutOff: at,
})
const published = `status = 'PUBLISHED' AND published_at < $1`
const counts = async (place: Ground, at = cutOff, expired = published, table = 'core.outbox') =>
  (
    await place.sql<{ expired: number; others: number }>(
      `SELECT count(*) FILTER (WHERE ${expired})::int AS expired, count(*) FILTER (WHERE (${expired}) IS NOT TRUE)::int AS others FROM ${table}`,
      [at],
    )
  )[0]!

describe('pg.purge', () => {
  test.each([
    ['blocks', outbox, cutOff],
    ['index', byIndex, early],
  ])('by %s: deletes exactly the rows of its policy that are past the cut-off, and proves it', async (way, setup, at) => {
    const place = await made(setup)
    const before = await counts(place, at)
    const { facts, proof } = await once(purge, place.url, policy({}, at))
    expect([before.expired > 0, facts, proof, await counts(place, at)]).toMatchObject([
      true,
      { deleted: before.expired, left: 0, locked: 0, way, cutOff: at.toISOString() },
      { ok: true },
      { expired: 0, others: before.others },
    ])
  })

  test('a row without a time stays, and so does every row of another state', async () => {
    const place = await made()
    await once(purge, place.url, policy())
    const left = await place.sql(
      `SELECT status, count(*)::int AS rows, count(*) FILTER (WHERE published_at IS NULL)::int AS never FROM core.outbox GROUP BY 1 ORDER BY 1`,
    )
    expect(left).toEqual([
      { status: 'FAILED', rows: 333, never: 33 },
      { status: 'PENDING', rows: 334, never: 34 },
      { status: 'PUBLISHED', rows: 183, never: 33 },
    ])
  })

  test('plans with the numbers, the way, why, and the whole condition, and deletes nothing', async () => {
    const place = await made(byIndex)
    const plan = await planned(place, policy({}, early))
    expect([plan, await counts(place, early)]).toMatchObject([
      {
        table: 'core.outbox',
        condition: `"published_at" < '2026-05-12T00:00:00.000Z'::timestamptz AND (status = 'PUBLISHED')`,
        rows: 1_000,
        expired: 6,
        numbers: 'counted',
        tables: [
          {
            way: 'index',
            why: expect.stringMatching(/^0.6 % of the rows; by outbox_published they cost 4 block reads, the whole table \d\d$/) as string,
          },
        ],
        references: [],
        triggers: [],
      },
      { expired: 6 },
    ])
  })

  test('reads the table in turn where an index would cost more, and says so', async () => {
    const place = await made(byIndex)
    const { facts } = await once(purge, place.url, policy())
    expect(facts).toMatchObject({
      way: 'blocks',
      why: expect.stringMatching(/by outbox_published they would cost \d+ block reads, the whole table only/) as string,
    })
  })

  test('proposes the index under which a large table need not be read', async () => {
    const place = await made(`
      CREATE SCHEMA core;
      CREATE TABLE core.outbox (status text, published_at timestamptz, note text) WITH (fillfactor = 10);
      INSERT INTO core.outbox SELECT 'PUBLISHED', timestamptz '2026-05-31Z' + n * interval '1 minute', repeat('x', 700) FROM generate_series(1, 2100) n;`)
    const tried = await tryOf(place, policy({}, new Date('2026-05-31T00:10:00Z')))
    await carryOut(purge, tried)
    expect(tried.found).toMatchObject([
      {
        level: 'info',
        what: expect.stringContaining('a purge of core.outbox reads') as string,
        sql: `CREATE INDEX CONCURRENTLY ON "core"."outbox" (published_at) WHERE status = 'PUBLISHED'`,
      },
    ])
  })

  test('rows of one moment are more than a batch', async () => {
    const place = await made(`
      CREATE SCHEMA core;
      CREATE TABLE core.outbox (status text, published_at timestamptz, note text DEFAULT repeat('x', 1000));
      INSERT INTO core.outbox SELECT 'PUBLISHED', '2026-01-01Z' FROM generate_series(1, 3000);
      INSERT INTO core.outbox SELECT 'PENDING', '2026-01-01Z' FROM generate_series(1, 60000);
      CREATE INDEX ON core.outbox (published_at) WHERE status = 'PUBLISHED'; ANALYZE core.outbox;`)
    const { facts } = await once(purge, place.url, policy())
    expect([facts, await counts(place)]).toMatchObject([
      { way: 'index', deleted: 3_000, left: 0 },
      { expired: 0, others: 60_000 },
    ])
  })

  test('a time without a zone is read as of the zone furthest behind, and of a date the whole day must be past', async () => {
    const place = await made(`
      CREATE SCHEMA core;
      CREATE TABLE core.outbox (id int, at timestamp, day date);
      INSERT INTO core.outbox VALUES (1, '2026-05-31 11:59', '2026-05-30'), (2, '2026-05-31 12:00', '2026-05-31'), (3, '2026-05-31 23:59', '2026-06-01');`)
    const kept = async (by: string) => {
      await once(purge, place.url, policy({ where: undefined, by }))
      return (await place.sql<{ id: number }>('SELECT id FROM core.outbox ORDER BY id')).map(({ id }) => id)
    }
    const byTime = await kept('at')
    await place.sql(`INSERT INTO core.outbox VALUES (1, '2026-05-31 11:59', '2026-05-30')`)
    expect([byTime, await kept('day')]).toEqual([
      [2, 3],
      [2, 3],
    ])
  })

  test('names with dots, capitals and quotes', async () => {
    const place = await made(`
      CREATE SCHEMA "My Core";
      CREATE TABLE "My Core"."Out.""Box" ("Status" text, "At" timestamptz);
      INSERT INTO "My Core"."Out.""Box" VALUES ('done', '2020-01-01'), ('open', '2020-01-01'), ('done', '2030-01-01');`)
    const { facts, proof } = await once(purge, place.url, policy({ table: '"My Core"."Out.""Box"', where: `"Status" = 'done'`, by: 'At' }))
    expect([facts, proof]).toMatchObject([{ deleted: 1, oldestKept: '2030-01-01T00:00:00.000Z' }, { ok: true }])
  })

  test('a batch is one statement, each block is looked at once by the run and once by the proof, and a place is kept beside the next batch', async () => {
    const place = await made()
    const tried = await tryOf(place, policy())
    const told: string[] = []
    const looked: [from: number, to: number][] = []
    const session: typeof tried.c.pg.session = async settings => {
      const second = await tried.c.pg.session(settings)
      const query: typeof second.query = (sql, values) => {
        if (sql.includes('DELETE FROM ONLY')) told.push('batch')
        else if (sql.includes('min(ctid)')) looked.push(values as [number, number])
        return second.query(sql, values)
      }
      return { ...second, query }
    }
    // It is slow, so that it ends when the next batch has begun.
    const save = async (state: unknown) => {
      const { next } = state as { next: string | null }
      await place.sql('SELECT pg_sleep(0.02)')
      told.push(next === null ? 'the last place' : 'a place')
    }
    const { facts } = await carryOut(purge, { c: { ...tried.c, pg: { ...tried.c.pg, session }, save } })
    const [{ blocks }] = (await place.sql<{ blocks: number }>(
      `SELECT (pg_relation_size('core.outbox') / current_setting('block_size')::int)::int AS blocks`,
    )) as [{ blocks: number }]
    const starts = looked.flatMap(([from], index) => (from === 0 ? [index] : []))
    const looks = starts.map((start, index) => looked.slice(start, starts[index + 1]))
    expect([facts['batches'], told, looks.map(look => look.reduce((end, [from, to]) => (from === end ? to : Number.NaN), 0))]).toEqual([
      2,
      ['batch', 'batch', 'a place', 'the last place'],
      [blocks, blocks],
    ])
  })

  test('tells the event of the policy', async () => {
    const place = await made()
    const told: string[] = []
    const tried = await tryOf(place, policy({ event: 'outbox_cleanup_completed' }))
    await carryOut(purge, { c: { ...tried.c, as: event => void told.push(event) } })
    expect(told).toEqual(['outbox_cleanup_completed'])
  })

  describe('what is left', () => {
    test.each([
      ['blocks', outbox, cutOff],
      ['index', byIndex, early],
    ])('by %s: rows that somebody has locked stay, are counted, and their holder is named', async (way, setup, at) => {
      const place = await made(setup)
      const before = await counts(place, at)
      const holder = await place.client('billing')
      await holder.query('BEGIN')
      await holder.query(`SELECT FROM core.outbox WHERE ${published} ORDER BY id LIMIT 1 FOR UPDATE`, [at])
      const { facts, proof } = await once(purge, place.url, policy({}, at))
      await holder.query('ROLLBACK')
      expect([facts, proof]).toMatchObject([
        {
          way,
          deleted: before.expired - 1,
          left: 1,
          locked: 1,
          holders: [{ name: 'billing', role: 'postgres', state: 'idle in transaction' }],
        },
        { ok: true, reason: expect.stringMatching(/1 row locked by others stays: ask \d+ "billing" of postgres/) as string },
      ])
    })

    test('a row that moves while the first pass goes by is taken by the second', async () => {
      const place = await made()
      const before = await counts(place)
      const tried = await tryOf(place, policy())
      let moved = 0
      const save = async (state: unknown) => {
        const { pass, next } = state as { pass: number; next: string | null }
        if (pass !== 1 || next !== null) return
        await place.sql(`INSERT INTO core.outbox SELECT 5000 + n, 'PUBLISHED', '2026-01-01Z' FROM generate_series(1, 7) n`)
        moved++
      }
      const { facts, proof } = await carryOut(purge, { c: { ...tried.c, save } })
      expect([moved, facts, proof.ok, await counts(place)]).toMatchObject([
        1,
        { deleted: before.expired + 7, left: 0 },
        true,
        { expired: 0, others: before.others },
      ])
    })

    test('a row that came after the first look, where the second one does not look, is later', async () => {
      const place = await made()
      const tried = await tryOf(place, policy())
      const came: number[] = []
      const save = async (state: unknown) => {
        const { pass, next } = state as { pass: number; next: string | null }
        if (came.includes(pass) || (pass === 1 && next !== null)) return
        came.push(pass)
        await place.sql(`INSERT INTO core.outbox SELECT ${5_000 * pass} + n, 'PENDING', null FROM generate_series(1, 500) n`)
        await place.sql(`INSERT INTO core.outbox VALUES (${5_000 * pass}, 'PUBLISHED', '2026-01-01Z')`)
      }
      const { facts, proof } = await carryOut(purge, { c: { ...tried.c, save } })
      expect([came, facts, proof]).toMatchObject([
        [1, 2],
        { left: 0 },
        { ok: true, reason: expect.stringContaining('1 row came to be past it after the last look') as string },
      ])
    })

    test('the proof says no to a row that was there and that nobody holds', async () => {
      const place = await made()
      const tried = await tryOf(place, policy())
      const { facts } = await carryOut(purge, tried)
      await place.sql(`INSERT INTO core.outbox VALUES (7000, 'PUBLISHED', '2026-01-01Z')`)
      const [{ xid }] = (await place.sql<{ xid: string }>(`SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text AS xid`)) as [
        { xid: string },
      ]
      const proofs = [await purge.prove!(tried.c, facts), await purge.prove!(tried.c, { ...facts, seenBefore: xid })]
      expect(proofs).toMatchObject([
        { ok: true, reason: expect.stringContaining('1 row came to be past it after the last look') as string },
        { ok: false, reason: '1 row of core.outbox past the cut-off is held by nobody' },
      ])
    })

    test('a trigger that keeps rows from going: no batch is tried for ever, and the proof says no', async () => {
      const place = await made(`
        CREATE SCHEMA core;
        CREATE TABLE core.outbox (status text, published_at timestamptz, note text DEFAULT repeat('x', 1000));
        INSERT INTO core.outbox SELECT 'PUBLISHED', '2026-01-01Z' FROM generate_series(1, 500);
        INSERT INTO core.outbox SELECT 'PENDING', '2026-01-01Z' FROM generate_series(1, 9000);
        CREATE INDEX ON core.outbox (published_at) WHERE status = 'PUBLISHED'; ANALYZE core.outbox;
        CREATE FUNCTION core.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER kept BEFORE DELETE ON core.outbox FOR EACH ROW EXECUTE FUNCTION core.keep();`)
      const { facts, proof } = await once(purge, place.url, policy())
      expect([facts, proof]).toMatchObject([
        { way: 'index', deleted: 0, left: 500, locked: 0 },
        { ok: false, reason: '500 rows of core.outbox past the cut-off are held by nobody' },
      ])
    })
  })

  describe('after an attempt that was killed', () => {
    test.each([
      ['blocks', outbox, cutOff, '10'],
      ['index', byIndex, early, '2026-05-11 20:00:00+00'],
    ])('by %s: goes on from its place, in its way', async (way, setup, at, next) => {
      const place = await made(setup)
      const before = await counts(place, at)
      const [{ oid }] = (await place.sql<{ oid: number }>(`SELECT 'core.outbox'::regclass::oid AS oid`)) as [{ oid: number }]
      const tried = await tryOf(place, policy({}, at))
      const places: string[] = []
      const save = async (state: unknown) => {
        const { pass, next, deleted } = state as { pass: number; next: string | null; deleted: number }
        if (next === null) places.push(`pass ${pass}: ${deleted < before.expired ? 'some' : 'all'}`)
      }
      const state = { table: oid, pass: 1, way, next, deleted: 0, batches: 3, emptied: 0, rowsAbout: 0, left: 0, locked: 0 }
      const { facts } = await carryOut(purge, { c: { ...tried.c, save, state } })
      expect([facts, places, await counts(place, at)]).toMatchObject([
        { way, deleted: before.expired, left: 0, resumedAt: { next } },
        ['pass 1: some', 'pass 2: all'],
        { expired: 0, others: before.others },
      ])
    })
  })

  describe('of a partitioned table', () => {
    const partitioned = `
      CREATE SCHEMA core;
      CREATE TABLE core.outbox (id int, status text, published_at timestamptz) PARTITION BY RANGE (published_at);
      CREATE TABLE core.outbox_04 PARTITION OF core.outbox FOR VALUES FROM ('2026-04-01Z') TO ('2026-05-01Z');
      CREATE TABLE core.outbox_05 PARTITION OF core.outbox FOR VALUES FROM ('2026-05-01Z') TO ('2026-06-01Z');
      CREATE TABLE core.outbox_06 PARTITION OF core.outbox FOR VALUES FROM ('2026-06-01Z') TO ('2026-07-01Z');
      CREATE TABLE core.outbox_07 PARTITION OF core.outbox FOR VALUES FROM ('2026-07-01Z') TO ('2026-08-01Z');
      INSERT INTO core.outbox SELECT n, (ARRAY['PUBLISHED', 'PENDING'])[n % 2 + 1], timestamptz '2026-04-01Z' + n * interval '1 hour' FROM generate_series(0, 2900) n;
      ANALYZE core.outbox; SELECT pg_stat_force_next_flush();`
    const june = new Date('2026-06-11T00:00:00Z')
    const perPartition = async (place: Ground) =>
      Object.fromEntries(
        (
          await place.sql<{ name: string; rows: number }>(
            `SELECT relname AS name, (xpath('/row/c/text()', query_to_xml('SELECT count(*) AS c FROM core.' || relname, false, true, '')))[1]::text::int AS rows FROM pg_class WHERE relname LIKE 'outbox%' AND relkind = 'r' ORDER BY 1`,
          )
        ).map(({ name, rows }) => [name, rows]),
      )

    test('partitions that expired whole are emptied without touching their rows; of the next one the rows go; the last is not looked at', async () => {
      const place = await made(partitioned)
      const { facts, proof } = await once(purge, place.url, policy({ where: undefined }, june))
      expect([facts, proof.ok, await perPartition(place)]).toMatchObject([
        { partitions: { emptied: 2, rowsAbout: 1_464 }, deleted: 240, left: 0, oldestKept: june.toISOString() },
        true,
        { outbox_04: 0, outbox_05: 0, outbox_06: 480, outbox_07: 717 },
      ])
    })

    test('a partition that is in use is emptied row by row', async () => {
      const place = await made(partitioned)
      const reader = await place.client('a report')
      await reader.query('BEGIN; SELECT FROM core.outbox_05 LIMIT 1')
      const { facts } = await once(purge, place.url, policy({ where: undefined }, june))
      await reader.query('ROLLBACK')
      expect([facts, await perPartition(place)]).toMatchObject([{ partitions: { emptied: 1 }, deleted: 240 + 744 }, { outbox_05: 0 }])
    })

    test('with a condition no partition is emptied: rows of another state stay', async () => {
      const place = await made(partitioned)
      const { facts, proof } = await once(purge, place.url, policy({}, june))
      expect([facts, proof.ok, await perPartition(place)]).toMatchObject([
        { partitions: { emptied: 0 }, deleted: 360 + 372 + 120, left: 0 },
        true,
        { outbox_04: 360, outbox_05: 372, outbox_06: 600, outbox_07: 717 },
      ])
    })

    test('a trigger that wants to see each row that goes, sees it', async () => {
      const place = await made(`${partitioned}
        CREATE TABLE core.gone (id int);
        CREATE FUNCTION core.note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO core.gone VALUES (OLD.id); RETURN OLD; END';
        CREATE TRIGGER noted AFTER DELETE ON core.outbox FOR EACH ROW EXECUTE FUNCTION core.note();`)
      const plan = await planned(place, policy({ where: undefined }, june))
      const { facts } = await once(purge, place.url, policy({ where: undefined }, june))
      expect([plan, facts, await place.sql('SELECT count(*)::int AS gone FROM core.gone')]).toMatchObject([
        { triggers: ['noted'] },
        { partitions: { emptied: 0 } },
        [{ gone: 1_704 }],
      ])
    })
  })
})

async function tryOf(place: Ground, options: Parameters<typeof attempt>[2]): Promise<Try> {
  const tried = await attempt(purge, place.url, options)
  tries.push(tried)
  return tried
}
const planned = async (place: Ground, options: Parameters<typeof attempt>[2]) => purge.plan!((await tryOf(place, options)).c)
