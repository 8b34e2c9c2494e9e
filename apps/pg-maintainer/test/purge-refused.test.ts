// What pg.purge refuses before a row is touched: policies that are wrong, hostile or boundless, and tables where a deletion would do more or less than it says.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import purge from '../src/tasks/purge.ts'
import { attempt, type Ground, ground, once } from './harness.ts'

const cutOff = new Date('2026-06-01T00:00:00Z')
const policy = (more: Record<string, unknown> = {}) => ({
  params: { policy: 'outbox' },
  entries: {
    policy: { target: 'core', table: 'core.outbox', where: "status = 'PUBLISHED'", by: 'published_at', age: '7d', atMost: 95, ...more },
  },
  cutOff,
})
let place: Ground
beforeAll(async () => {
  place = await ground(`
    CREATE SCHEMA core;
    CREATE TABLE core.outbox (id int PRIMARY KEY, status text NOT NULL, published_at timestamptz, note text, kind text NOT NULL DEFAULT 'a');
    INSERT INTO core.outbox SELECT n, (ARRAY['PUBLISHED', 'PENDING'])[n % 2 + 1], '2020-01-01Z' FROM generate_series(1, 100) n;
    CREATE TABLE core.other (id int, at timestamptz);
    CREATE VIEW core.recent AS SELECT * FROM core.outbox;
    CREATE FUNCTION core.purrs(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN DELETE FROM core.outbox; RETURN true; END';`)
})
afterAll(() => place.drop())
/** Of the plan, and that all rows are there. */
const refusal = async (more: Record<string, unknown>, url = place.url) => {
  const error = await once(purge, url, policy(more)).then(
    () => ({ name: 'nothing was refused' }),
    (error: Error & { code?: string; hint?: string }) => ({ name: error.name, code: error.code, message: error.message, hint: error.hint }),
  )
  const [{ rows }] = (await place.sql<{ rows: number }>('SELECT count(*)::int AS rows FROM core.outbox')) as [{ rows: number }]
  return { ...error, rows }
}
const containing = (text: string) => expect.stringContaining(text) as string

describe('a condition', () => {
  test.each([
    ['1=1; DROP TABLE core.outbox', 'has a semicolon'],
    ["status = 'PUBLISHED' -- AND false", 'has a comment'],
    ["status = 'PUBLISHED' /* AND false", 'has a comment'],
    ['true) OR (true', 'parentheses that do not belong together'],
    ['(true', 'parentheses that do not belong together'],
    ["status = 'PUBLISHED", "a ' that nothing closes"],
    ["status = 'a\\'; DROP TABLE core.outbox; --'", 'a backslash in a plain string'],
    ["status = E'a\\'' OR id = '; DROP TABLE core.outbox", "a ' that nothing closes"],
    ['status = $$x$$', 'has a $'],
    ['status = $1', 'has a $'],
    ['id IN (SELECT id FROM core.other)', 'has a subquery'],
    ['id IN (TABLE core.other)', 'has a subquery'],
    ['random() < 0.5', 'volatile'],
    ["core.purrs(status) AND status = 'PUBLISHED'", 'volatile'],
    ["status = 'PUBLISHED' AND pg_terminate_backend(1)", 'volatile'],
    ["status = 'PUBLISHED' OR nextval('core.s') > 0", 'is not understood by the server'],
    ['1=1', 'says the same of every row'],
    ["1=1 OR status = 'PUBLISHED'", 'says the same of every row'],
    ['now() IS NOT NULL', 'says the same of every row'],
    ["'outbox.status' <> ''", 'says the same of every row'],
    ['false', 'says the same of every row'],
    ['status', 'is not understood by the server'],
    ["id = 'PUBLISHED'", 'is not understood by the server'],
    ['count(*) > 1', 'is about more than one row'],
    ["status = 'PUBLISHED' GROUP BY status", 'is not understood by the server'],
    ["status = 'PUBLISHED' UNION", 'is not understood by the server'],
  ])('%s: refused', async (where, why) => {
    expect(await refusal({ where })).toMatchObject({ name: 'Refused', code: 'bad_where', message: containing(why), rows: 100 })
  })

  test('with a column that is not there: the nearest one is named', async () => {
    expect(await refusal({ where: "statuz = 'PUBLISHED'" })).toMatchObject({ code: 'bad_where', hint: 'did you mean "status"?', rows: 100 })
  })

  test.each(['status IS NOT NULL', "status <> 'gone'", 'id > 0'])(
    'that is true of every row, %s: refused by the share that would go',
    async where => {
      expect(await refusal({ where })).toMatchObject({
        code: 'too_much',
        message: '100 of 100 rows of core.outbox would go, 100.0 %: the policy allows 95 %',
        rows: 100,
      })
    },
  )

  test.each([
    "status = 'it''s; -- fine'",
    "status IN ('PUBLISHED', 'x') AND \"note\" IS NULL",
    "outbox.status = 'x' AND published_at < now() - interval '1 day'",
    "status = E'a\\'; DROP' OR length(note) > 3",
  ])('that is one, %s: planned', async where => {
    const tried = await attempt(purge, place.url, policy({ where }))
    await expect(purge.plan!(tried.c)).resolves.toMatchObject({ rows: 100 })
    await tried.close()
  })
})

describe('a policy', () => {
  test.each([
    [{ table: 'core.outboks' }, 'table_missing', 'did you mean "core.outbox"?'],
    [{ table: 'core.recent' }, 'not_a_table', 'name a table or a partitioned table'],
    [{ by: 'publishd_at' }, 'column_missing', 'did you mean "published_at"?'],
    [{ by: 'PUBLISHED_AT' }, 'column_missing', 'did you mean "published_at"?'],
    [{ by: 'id' }, 'not_a_time', 'name a column that is a date or a timestamp; published_at is one'],
    [{ event: 'outbox_cleanup_complete' }, 'bad_event', 'did you mean "outbox_cleanup_completed"?'],
    [{ where: undefined }, 'too_much', containing('atMost: 100')],
  ])('with %j: refused as %s', async (more, code, hint) => {
    expect(await refusal(more)).toMatchObject({ name: 'Refused', code, hint, rows: 100 })
  })

  test('of a run without a cut-off: not run', async () => {
    await expect(once(purge, place.url, { ...policy(), cutOff: null })).rejects.toMatchObject({ name: 'Permanent', code: 'no_cut_off' })
  })
})

describe('a table', () => {
  test('that row level security hides: refused, where it would delete 0 rows and call it a success', async () => {
    const role = await place.role('GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA core TO %')
    await place.sql(`ALTER TABLE core.outbox ENABLE ROW LEVEL SECURITY; CREATE POLICY mine ON core.outbox USING (note = current_user)`)
    const hidden = await refusal({}, place.as(role))
    await place.sql(`CREATE POLICY dbops ON core.outbox TO ${role} USING (true)`)
    const tried = await attempt(purge, place.as(role), policy())
    const open = await purge.plan!(tried.c)
    await tried.close()
    await place.sql(`DROP POLICY mine ON core.outbox; DROP POLICY dbops ON core.outbox; ALTER TABLE core.outbox DISABLE ROW LEVEL SECURITY`)
    expect([hidden, open]).toMatchObject([
      {
        name: 'Refused',
        code: 'row_security',
        hint: containing(`CREATE POLICY dbops ON "core"."outbox" TO "${role}" USING (true)`),
        rows: 100,
      },
      { expired: 50 },
    ])
  })

  test('whose rows the role may not delete: refused with the grant', async () => {
    const role = await place.role('GRANT SELECT ON ALL TABLES IN SCHEMA core TO %')
    expect(await refusal({}, place.as(role))).toMatchObject({
      code: 'privilege_missing',
      hint: `GRANT SELECT, DELETE ON "core"."outbox" TO "${role}"`,
      rows: 100,
    })
  })

  test('that another one refers to without an index: refused with its name and the index; with one it is planned', async () => {
    await place.sql(`CREATE TABLE core.deliveries (outbox_id int CONSTRAINT of_outbox REFERENCES core.outbox, at timestamptz)`)
    const tried = await attempt(purge, place.url, policy())
    const refused = await purge.plan!(tried.c).catch((error: unknown) => error)
    await place.sql(`CREATE INDEX ON core.deliveries (outbox_id, at)`)
    const plan = await purge.plan!(tried.c)
    await tried.close()
    await place.sql(`DROP TABLE core.deliveries`)
    const sql = `CREATE INDEX CONCURRENTLY ON "core"."deliveries" ("outbox_id")`
    expect([refused, tried.found, plan]).toMatchObject([
      {
        name: 'Refused',
        code: 'index_missing',
        message: containing('core.deliveries refers to core.outbox by of_outbox and has no index on it'),
        hint: sql,
      },
      [{ key: 'foreign key core.deliveries.of_outbox', level: 'warning', sql }],
      { references: [{ constraint: 'of_outbox', table: 'core.deliveries', onDelete: 'refuses while a row refers to it' }] },
    ])
  })

  test('whose rows take others with them: refused', async () => {
    await place.sql(`CREATE TABLE core.deliveries (outbox_id int PRIMARY KEY REFERENCES core.outbox ON DELETE CASCADE)`)
    const refused = await refusal({})
    await place.sql(`DROP TABLE core.deliveries`)
    expect(refused).toMatchObject({
      name: 'Refused',
      code: 'cascades',
      hint: containing('core.deliveries by a policy of its own'),
      rows: 100,
    })
  })

  test('of which an old row is still in use: fails with that cause, and deletes none of its batch', async () => {
    await place.sql(
      `CREATE TABLE core.deliveries (outbox_id int PRIMARY KEY REFERENCES core.outbox); INSERT INTO core.deliveries VALUES (2)`,
    )
    const failed = await refusal({})
    await place.sql(`DROP TABLE core.deliveries`)
    expect(failed).toMatchObject({ name: 'Permanent', code: 'still_referenced', message: containing('deliveries'), rows: 100 })
  })

  test('that somebody has locked whole: later', async () => {
    const locker = await place.client('a migration')
    const tried = await attempt(purge, place.url, policy())
    const plan = await purge.plan!(tried.c)
    const run = purge.run({ ...tried.c, plan, guard: async () => void (await locker.query('BEGIN; LOCK TABLE core.outbox IN SHARE MODE')) })
    await expect(run).rejects.toMatchObject({ name: 'Later', code: 'table_locked', after: 30_000 })
    await locker.query('ROLLBACK')
    await tried.close()
  })
})
