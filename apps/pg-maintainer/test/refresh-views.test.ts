// pg.refresh-views on real views: the order, the one transaction, the readers, and every way in which a refresh says success and leaves the wrong rows.
import { until } from '@dbops/testing/until'
import { afterEach, describe, expect, test } from 'vitest'
import refresh from '../src/tasks/refresh-views.ts'
import { inOrder } from '../src/views/order.ts'
import { attempt, carryOut, type Ground, ground, once, type Try } from './harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})
const made = async (setup: string) => {
  const one = await ground(setup)
  grounds.push(one)
  return one
}

/** The seed's star: keys of the dimension are row numbers, and a new member shifts those after it. The fact is listed first, as the seed does. */
const star = `
  CREATE SCHEMA core; CREATE SCHEMA vision;
  CREATE TABLE core.cases (id int, org text);
  INSERT INTO core.cases SELECT n, chr(65 + 2 * (n % 3)) FROM generate_series(1, 300) n;
  CREATE MATERIALIZED VIEW vision.dim_org AS SELECT row_number() OVER (ORDER BY org) AS org_key, org FROM (SELECT DISTINCT org FROM core.cases) o;
  CREATE UNIQUE INDEX ON vision.dim_org (org_key);
  CREATE MATERIALIZED VIEW vision.fact AS SELECT id, org, org_key FROM core.cases JOIN vision.dim_org USING (org);
  CREATE UNIQUE INDEX ON vision.fact (id);`
const group = (more: object = {}) => ({
  params: { group: 'vision' },
  entries: { group: { target: 'core', members: ['vision.fact', 'vision.dim_org'], ...more } },
})
/** Facts whose key is another org's. */
const wrong = `SELECT count(*)::int AS wrong FROM vision.fact f JOIN vision.dim_org d USING (org_key) WHERE f.org <> d.org`
const newOrg = `INSERT INTO core.cases SELECT 1000 + n, 'B' FROM generate_series(1, 10) n`
const around = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16)
const closed = { name: 'night', from: around(60), to: around(120), zone: 'UTC' }
const open = { name: 'night', from: around(-60), to: around(60), zone: 'UTC' }

describe('pg.refresh-views', () => {
  test('dimensions go before the facts that read them, beside their readers, and it is proven', async () => {
    const { url } = await made(`${star} ${newOrg}`)
    const { facts, proof } = await once(refresh, url, group())
    expect([facts, proof]).toMatchObject([
      {
        views: [
          { view: 'vision.dim_org', way: 'concurrently', rowsBefore: 3, rowsAfter: 4 },
          { view: 'vision.fact', way: 'concurrently', rowsBefore: 300, rowsAfter: 310 },
        ],
        tries: 1,
      },
      { ok: true, reason: 'vision.dim_org: 4 rows; vision.fact: 310 rows' },
    ])
  })

  test("the seed's order joins facts to the wrong dimension; ours to the right one", async () => {
    const { url, sql } = await made(`${star} ${newOrg}`)
    await sql(`REFRESH MATERIALIZED VIEW CONCURRENTLY vision.fact`)
    await sql(`REFRESH MATERIALIZED VIEW CONCURRENTLY vision.dim_org`)
    const [seed] = await sql(wrong)
    await sql(`INSERT INTO core.cases VALUES (2000, 'D')`)
    await once(refresh, url, group())
    const [ours] = await sql(wrong)
    expect([seed, ours]).toEqual([{ wrong: 200 }, { wrong: 0 }])
  })

  test('no reader ever sees a fact of one moment and a dimension of another', async () => {
    const place = await made(star)
    const reader = await place.client('a report')
    const over = new AbortController()
    const seen = new Set<number>()
    const reads = (async () => {
      while (!over.signal.aborted) seen.add((await reader.query<{ wrong: number }>(wrong)).rows[0]!.wrong)
    })()
    for (const [index, org] of ['B', 'D', 'AA'].entries()) {
      await place.sql(`INSERT INTO core.cases VALUES ($1, $2)`, [2000 + index, org])
      await once(refresh, place.url, group())
    }
    over.abort()
    await reads
    expect([...seen]).toEqual([0])
  })

  test('rows that come in the middle are in all of the views or in none', async () => {
    const place = await made(`
      ${star}
      CREATE FUNCTION core.slowly() RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT pg_sleep(0.5) IS NOT NULL';
      CREATE MATERIALIZED VIEW vision.first AS SELECT count(*) AS n FROM core.cases, (SELECT core.slowly() OFFSET 0) s;
      CREATE MATERIALIZED VIEW vision.second AS SELECT count(*) AS n FROM core.cases;`)
    const running = once(refresh, place.url, group({ members: ['vision.first', 'vision.second'] }))
    await until(
      'the first is being refreshed',
      async () =>
        (
          await place.sql(
            `SELECT FROM pg_stat_activity WHERE query LIKE 'REFRESH %first%' AND datname = current_database() AND pid <> pg_backend_pid()`,
          )
        ).length,
    )
    await place.sql(newOrg)
    await running
    expect(await place.sql(`SELECT f.n = s.n AS same FROM vision.first f, vision.second s`)).toEqual([{ same: true }])
  })

  test('a view that was never filled is filled, as no reader can be kept from it', async () => {
    const { url } = await made(`${star} REFRESH MATERIALIZED VIEW vision.fact WITH NO DATA;`)
    const { facts, proof } = await once(refresh, url, group({ window: closed }))
    expect([facts, proof.ok]).toMatchObject([{ views: [{}, { view: 'vision.fact', way: 'fill', rowsBefore: null, rowsAfter: 300 }] }, true])
  })

  test.each([
    ['none at all', ''],
    ['one with WHERE', 'CREATE UNIQUE INDEX ON vision.loose (id) WHERE id > 0'],
    ['one over an expression', 'CREATE UNIQUE INDEX ON vision.loose ((id + 0))'],
    ['one that is not unique', 'CREATE INDEX ON vision.loose (id)'],
  ])('an index that the server would not take is not counted on: %s', async (_, index) => {
    const { url } = await made(`${star} CREATE MATERIALIZED VIEW vision.loose AS SELECT id FROM core.cases; ${index}`)
    const { facts } = await once(refresh, url, group({ members: ['vision.loose'] }))
    expect(facts.views).toMatchObject([{ way: 'lock', rowsAfter: 300 }])
  })

  test('what must lock readers out waits for its window, and all of the group with it', async () => {
    const { url, sql } = await made(`${star} ${newOrg}; DROP INDEX vision.fact_id_idx`)
    await expect(once(refresh, url, group({ window: closed }))).rejects.toMatchObject({
      name: 'Later',
      code: 'outside_window',
      message: expect.stringMatching(/^vision.fact can only be refreshed with readers locked out, and window "night" opens /) as string,
    })
    expect(await sql(`SELECT count(*)::int AS orgs FROM vision.dim_org`)).toEqual([{ orgs: 3 }])
  })

  test('inside its window it is refreshed', async () => {
    const { url } = await made(`${star} ${newOrg}; DROP INDEX vision.fact_id_idx`)
    const { facts, proof } = await once(refresh, url, group({ window: open }))
    expect([facts, proof.ok]).toMatchObject([{ views: [{ way: 'concurrently' }, { way: 'lock', rowsAfter: 310 }] }, true])
  })

  test('a reader goes on while it is refreshed', async () => {
    const place = await made(star)
    const reader = await place.client('a report')
    await reader.query(`BEGIN; SELECT count(*) FROM vision.fact; SELECT count(*) FROM vision.dim_org`)
    const { proof } = await once(refresh, place.url, group())
    expect(proof.ok).toBe(true)
  })

  test('a view that somebody holds is tried again from the start, with nothing locked meanwhile', async () => {
    const place = await made(`${star} ${newOrg}`)
    const holder = await place.client('a migration')
    await holder.query(`BEGIN; COMMENT ON MATERIALIZED VIEW vision.fact IS 'held'`)
    const tried = await attempt(refresh, place.url, group())
    const running = carryOut(refresh, tried)
    await until(
      'it waits',
      async () =>
        (await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`, [tried.name])).length,
    )
    await until('it has let go', async () => {
      const [{ locks }] = (await place.sql(
        `SELECT count(*)::int AS locks FROM pg_locks WHERE relation = 'vision.dim_org'::regclass AND granted`,
      )) as [{ locks: number }]
      return locks === 0
    })
    await holder.query('ROLLBACK')
    const { facts, proof } = await running
    await tried.close()
    expect([(facts.tries as number) > 1, proof.ok]).toEqual([true, true])
  })

  // A quarter of a minute, for which it keeps the horizon of all tests.
  test.runIf(process.env.DBOPS_LONG)('a view that somebody holds through all tries is told with who that is', async () => {
    const place = await made(star)
    const holder = await place.client('a migration')
    await holder.query(`BEGIN; LOCK TABLE core.cases IN ACCESS EXCLUSIVE MODE`)
    await expect(once(refresh, place.url, group())).rejects.toMatchObject({
      code: '55P03',
      message: expect.stringMatching(
        /^vision\.\w+, or a table below it, is locked by session \d+ "a migration" of postgres \(idle in transaction\) since \S+: /,
      ) as string,
      hint: expect.stringMatching(/: SELECT pg_terminate_backend\(\d+\)$/) as string,
    })
  })

  test('two refreshes at once: the second begins anew after the first, and neither fails', async () => {
    const place = await made(`${star} ${newOrg}`)
    const both = await Promise.all([once(refresh, place.url, group()), once(refresh, place.url, group())])
    expect(both.map(({ proof }) => proof.ok)).toEqual([true, true])
  })

  test('what fails in the middle takes everything back', async () => {
    const { url, sql } = await made(`${star} ${newOrg};
      CREATE MATERIALIZED VIEW vision.broken AS SELECT 1 / (310 - count(*)) AS one FROM core.cases WITH NO DATA`)
    await expect(once(refresh, url, group({ members: ['vision.dim_org', 'vision.fact', 'vision.broken'] }))).rejects.toMatchObject({
      code: '22012',
    })
    expect(await sql(`SELECT count(*)::int AS orgs FROM vision.dim_org`)).toEqual([{ orgs: 3 }])
  })

  test.each<[string, (tried: Try, sql: Ground['sql']) => unknown]>([
    ['is cancelled', tried => tried.abort.abort(new Error('cancelled'))],
    [
      'loses its session',
      (tried, sql) => sql(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = $1`, [tried.name]),
    ],
  ])('one that %s in the middle leaves the views as they were, and nothing that holds them', async (_, hit) => {
    const { url, sql } = await made(`${star} ${newOrg};
      CREATE MATERIALIZED VIEW vision.slow AS SELECT pg_sleep(60) IS NULL AS one WITH NO DATA`)
    const tried = await attempt(refresh, url, group({ members: ['vision.dim_org', 'vision.slow'] }))
    const running = carryOut(refresh, tried)
    running.catch(() => undefined)
    await until(
      'the second is being refreshed',
      async () => (await sql(`SELECT FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep'`, [tried.name])).length,
    )
    await hit(tried, sql)
    await expect(running).rejects.toThrow()
    await tried.close()
    expect([
      await sql(`SELECT count(*)::int AS orgs FROM vision.dim_org`),
      await sql(`SELECT FROM pg_locks WHERE relation = 'vision.dim_org'::regclass AND mode = 'ExclusiveLock'`),
    ]).toEqual([[{ orgs: 3 }], []])
  })

  test('a view that would lose more than half of its rows fails, and readers keep the old ones', async () => {
    const { url, sql } = await made(`${star} DELETE FROM core.cases WHERE id > 140`)
    await expect(once(refresh, url, group())).rejects.toMatchObject({
      name: 'Permanent',
      code: 'rows_dropped',
      message: 'vision.fact would fall from 300 to 140 rows: nothing was refreshed',
      hint: expect.stringContaining('take them once with allowDrop') as string,
    })
    expect(await sql(`SELECT count(*)::int AS facts FROM vision.fact`)).toEqual([{ facts: 300 }])
  })

  test('unless somebody says that they are right', async () => {
    const { url } = await made(`${star} DELETE FROM core.cases WHERE id > 140`)
    const given = group()
    const { proof } = await once(refresh, url, { ...given, params: { ...given.params, allowDrop: true } })
    expect(proof.ok).toBe(true)
  })

  test('over row level security the server says success with no row; here it is refused with the mend', async () => {
    const place = await made(star)
    const owner = await place.role(`
      GRANT USAGE, CREATE ON SCHEMA vision TO %; ALTER TABLE core.cases OWNER TO %;
      ALTER MATERIALIZED VIEW vision.dim_org OWNER TO %; ALTER MATERIALIZED VIEW vision.fact OWNER TO %;
      CREATE POLICY own ON core.cases USING (org = current_setting('app.org', true));
      ALTER TABLE core.cases ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`)
    const plain = await place.client('pg_cron')
    await plain.query(`BEGIN; REFRESH MATERIALIZED VIEW vision.dim_org`)
    const { rows } = await plain.query(`SELECT count(*)::int AS orgs FROM vision.dim_org`)
    await plain.query('ROLLBACK')
    await expect(once(refresh, place.as(owner), group())).rejects.toMatchObject({
      name: 'Permanent',
      code: 'row_security',
      message: `vision.dim_org is refreshed as its owner ${owner}, from whom row level security of table "cases" hides rows`,
      hint: expect.stringContaining(`ALTER ROLE ${owner} BYPASSRLS`) as string,
    })
    expect(rows).toEqual([{ orgs: 0 }])
  })

  test('a role that does not own a view is refused with the grant that is missing', async () => {
    const place = await made(star)
    const role = await place.role(`GRANT USAGE ON SCHEMA vision TO %`)
    await expect(once(refresh, place.as(role), group())).rejects.toMatchObject({
      name: 'Refused',
      code: 'privilege_missing',
      message: 'our role may not refresh vision.fact, vision.dim_org',
      hint: 'only the owner may: GRANT postgres to the role of this target',
    })
  })

  test.each([
    ['vision.dim_orgs', 'view_missing', 'vision.dim_orgs is not in the database', 'did you mean "vision.dim_org"?'],
    [
      'vision.dim_stk_type',
      'view_missing',
      'vision.dim_stk_type is not in the database',
      'of its schema the group does not have vision.dim_org, vision.dim_stakeholder_type: correct views in the configuration',
    ],
    [
      'core.cases',
      'not_a_view',
      'core.cases is a table',
      'a group has materialized views alone: take it out of views in the configuration',
    ],
  ])('%s is refused before anything is touched', async (name, code, message, hint) => {
    const { url } = await made(`${star} CREATE MATERIALIZED VIEW vision.dim_stakeholder_type AS SELECT 1 AS one`)
    await expect(once(refresh, url, group({ members: ['vision.fact', name] }))).rejects.toMatchObject({
      name: 'Refused',
      code,
      message,
      hint,
    })
  })

  test('plans the order, the way of each, and who would be locked out', async () => {
    const { url } = await made(`${star} ANALYZE vision.fact; DROP INDEX vision.dim_org_org_key_idx`)
    const tried = await attempt(refresh, url, group({ window: open }))
    const plan = await refresh.plan!(tried.c)
    await tried.close()
    expect(plan).toMatchObject({
      views: [
        { view: 'vision.dim_org', way: 'lock', reads: [] },
        { view: 'vision.fact', way: 'concurrently', reads: ['vision.dim_org'], rows: 300 },
      ],
      locks: ['vision.dim_org'],
      window: { name: 'night', open: true },
    })
  })

  describe('its proof', () => {
    test('says no to a refresh that was rolled back', async () => {
      const { url, sql } = await made(star)
      const [lost] = await sql<{ transaction: string; oid: number; mark: string }>(`
        BEGIN; REFRESH MATERIALIZED VIEW vision.fact`).then(async () => {
        const seen = await sql<{ transaction: string; oid: number; mark: string }>(
          `SELECT pg_current_xact_id()::text AS transaction, oid, xmin::text AS mark FROM pg_class WHERE oid = 'vision.fact'::regclass`,
        )
        await sql('ROLLBACK')
        return seen
      })
      const tried = await attempt(refresh, url, group())
      const view = { view: 'vision.fact', oid: lost!.oid, way: 'lock', seconds: 0, rowsBefore: 300, rowsAfter: 300, mark: lost!.mark }
      const proof = await refresh.prove!(tried.c, {
        views: [view],
        asOf: new Date().toISOString(),
        transaction: lost!.transaction,
        tries: 1,
      })
      await tried.close()
      expect(proof).toMatchObject({
        ok: false,
        reason: 'vision.fact: its row in the catalogue is not of our transaction: nothing was refreshed',
      })
    })

    test('holds when a vacuum or an analyze came since, and when somebody has refreshed it once more', async () => {
      const { url, sql } = await made(star)
      const tried = await attempt(refresh, url, group())
      const facts = refresh.result.parse(await refresh.run(tried.c))
      await sql(`VACUUM (ANALYZE) vision.fact`)
      const first = await refresh.prove!(tried.c, facts)
      await sql(`REFRESH MATERIALIZED VIEW vision.fact`)
      const second = await refresh.prove!(tried.c, facts)
      await tried.close()
      expect([first.reason, second.reason]).toEqual([
        'vision.dim_org: 3 rows; vision.fact: 300 rows',
        'vision.dim_org: 3 rows; vision.fact: refreshed, and changed by somebody else since',
      ])
    })
  })
})

describe('the order of views', () => {
  const view = (oid: number, ...uses: number[]) => ({ oid, uses, populated: true, hasKey: true })
  const shut = (oid: number, ...uses: number[]) => ({ ...view(oid, ...uses), hasKey: false })
  test.each([
    ['the order of the configuration, where nothing binds them', [view(3), view(1), view(2)], [3, 1, 2]],
    ['what is read goes first', [view(1, 2), view(2)], [2, 1]],
    ['through several of them', [view(1, 2, 3), view(2, 3), view(3)], [3, 2, 1]],
    ['tables below them do not matter', [view(1, 77), view(2, 77)], [1, 2]],
    ['only what must moves', [view(5), view(1, 2), view(6), view(2)], [5, 6, 2, 1]],
    ['what locks readers out goes last', [shut(1), view(2), shut(3), view(4)], [2, 4, 1, 3]],
    ['what locks readers out goes before those that read it, and no earlier', [shut(1), view(2, 1), view(3)], [3, 1, 2]],
    ['of those that lock readers out the one that others wait for goes first', [shut(1), shut(2), view(3, 2)], [2, 3, 1]],
  ])('%s', (_, views, order) => {
    expect(inOrder(views).map(({ oid }) => oid)).toEqual(order)
  })
})
