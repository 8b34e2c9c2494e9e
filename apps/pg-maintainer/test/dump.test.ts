// pg.dump on real databases: what is in it, what it refuses, and that the lines in its manifest bring it back.
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import type { Manifest } from '@dbops/artifacts/manifest'
import type { Dump } from '@dbops/contract/config-file'
import { until } from '@dbops/testing/until'
import type { Client } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import dump from '../src/tasks/dump.ts'
import { attempt, carryOut, type Ground, ground, head, once, type Try } from './harness.ts'

const grounds: Ground[] = []
const tries: Try[] = []
afterEach(async () => {
  for (const one of tries.splice(0)) await one.close()
  for (const one of grounds.splice(0)) await one.drop()
})

const platform = `
  CREATE SCHEMA core;
  CREATE SCHEMA "Vision 2";
  CREATE TABLE core.tenants (id int PRIMARY KEY, name text);
  CREATE TABLE core.users (id int PRIMARY KEY, tenant_id int NOT NULL REFERENCES core.tenants, manager_id int REFERENCES core.users);
  CREATE TABLE core.cases (id int PRIMARY KEY, owner_id int REFERENCES core.users);
  CREATE TABLE core.documents (id int PRIMARY KEY, case_id int REFERENCES core.cases);
  CREATE TABLE core.event_outbox (id serial PRIMARY KEY, payload text);
  CREATE TABLE core.log (id int, at int) PARTITION BY RANGE (at);
  CREATE TABLE core.log_1 PARTITION OF core.log FOR VALUES FROM (0) TO (10);
  CREATE TABLE core.log_2 PARTITION OF core.log FOR VALUES FROM (10) TO (20);
  CREATE TABLE "Vision 2"."We""ird. Table" (id int);
  CREATE TABLE "Vision 2"."Users" (id int);
  INSERT INTO core.tenants SELECT n, 'tenant ' || n FROM generate_series(1, 10) n;
  INSERT INTO core.users SELECT n, n % 10 + 1, 1 FROM generate_series(1, 200) n;
  INSERT INTO core.cases SELECT n, n % 200 + 1 FROM generate_series(1, 300) n;
  INSERT INTO core.documents SELECT n, n % 300 + 1 FROM generate_series(1, 400) n;
  INSERT INTO core.event_outbox (payload) SELECT md5(n::text) FROM generate_series(1, 500) n;
  INSERT INTO core.log SELECT n, n % 20 FROM generate_series(1, 100) n;
  INSERT INTO "Vision 2"."We""ird. Table" SELECT generate_series(1, 7);
  INSERT INTO "Vision 2"."Users" SELECT generate_series(1, 8);
  CREATE MATERIALIZED VIEW core.users_by_tenant AS SELECT tenant_id, count(*) FROM core.users GROUP BY 1;
  CREATE MATERIALIZED VIEW core.above AS SELECT count(*) AS n FROM core.users_by_tenant;
  CREATE MATERIALIZED VIEW core.outbox_size AS SELECT count(*) FROM core.event_outbox;
  CREATE EXTENSION pgcrypto;`

describe('pg.dump', () => {
  test('has the rows of the listed tables, and says how many of each', async () => {
    const { url } = await made()
    const tried = await begun(url, { data: ['core.users', 'core.tenants'] })
    const { facts, proof } = await carryOut(dump, tried)
    expect([manifestOf(tried).tables, facts, proof]).toMatchObject([
      [
        { table: 'core.tenants', rows: 10 },
        { table: 'core.users', rows: 200 },
      ],
      { tables: 2, rows: 210, files: 2, excluded: 7, filter: 'unfiltered' },
      { ok: true },
    ])
  })

  test('writes the dump and the roles without their passwords, and nothing else', async () => {
    const { url } = await made()
    const tried = await begun(url, { data: ['core.tenants'] })
    await carryOut(dump, tried)
    const globals = readFileSync(`${tried.folder}/globals.sql`, 'utf8')
    expect([readdirSync(tried.folder).toSorted(), globals.includes('CREATE ROLE postgres'), globals.includes('SCRAM')]).toEqual([
      ['dump.pgdump', 'globals.sql'],
      true,
      false,
    ])
  })

  test('the manifest says from which server and snapshot, with which tools, extensions and roles, and which views come back wrong', async () => {
    const place = await made()
    const tried = await begun(place.url, { data: ['core.tenants', 'core.users'] })
    await carryOut(dump, tried)
    const [{ id }] = (await place.sql<{ id: string }>(`SELECT system_identifier::text AS id FROM pg_control_system()`)) as [{ id: string }]
    const manifest = manifestOf(tried)
    expect(manifest).toMatchObject({
      server: { systemIdentifier: id, database: place.name, encoding: 'UTF8' },
      snapshot: { at: expect.stringMatching(/^\d{4}-/) as string, lsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/) as string },
      extensions: [{ name: 'pgcrypto' }, { name: 'plpgsql' }],
      roles: expect.arrayContaining(['postgres']) as string[],
      tools: { pg_dump: expect.stringMatching(/^\d+\.\d+/) as string },
      facts: {
        views: [
          { view: 'core.outbox_size', restorable: false, missing: ['core.event_outbox'] },
          { view: 'core.users_by_tenant', restorable: true },
          { view: 'core.above', restorable: true },
        ],
      },
    })
  })

  test('the lines of its manifest restore it: the same rows, the views, and empty tables where rows were left out', async () => {
    const place = await made(`${platform}
      CREATE POLICY mine ON core.users USING (tenant_id = current_setting('app.current_tenant_id', true)::int);
      ALTER TABLE core.users ENABLE ROW LEVEL SECURITY;`)
    const tried = await begun(place.url, { data: ['core.log', 'core.tenants', 'core.users', '"Vision 2"."We""ird. Table"'] })
    await carryOut(dump, tried)
    const copy = await restored(tried, place)
    const counts = await copy.query(`
      SELECT (SELECT count(*)::int FROM core.tenants) AS tenants, (SELECT count(*)::int FROM core.users) AS users,
             (SELECT count(*)::int FROM core.log) AS log, (SELECT count(*)::int FROM "Vision 2"."We""ird. Table") AS weird,
             (SELECT count(*)::int FROM "Vision 2"."Users") AS "otherUsers", (SELECT count(*)::int FROM core.event_outbox) AS outbox,
             (SELECT last_value::int FROM core.event_outbox_id_seq) AS sequence, (SELECT count(*)::int FROM core.users_by_tenant) AS view,
             (SELECT count(*)::int FROM pg_policies) AS policies,
             (SELECT count(*)::int FROM pg_stats WHERE schemaname = 'core' AND tablename = 'users') AS statistics,
             (SELECT count(*)::int FROM pg_constraint WHERE contype = 'f' AND convalidated) AS keys`)
    expect(counts.rows).toEqual([
      {
        tenants: 10,
        users: 200,
        log: 100,
        weird: 7,
        otherUsers: 0,
        outbox: 0,
        sequence: 500,
        view: 10,
        policies: 1,
        statistics: 3,
        keys: 4,
      },
    ])
  })

  const mishaps: [string, (tried: Try) => string, RegExp][] = [
    ['in another folder', tried => aside(tried), /dump\.pgdump and globals\.sql are not here/],
    ['beside an empty globals.sql', tried => planted(tried, 'globals.sql', Buffer.alloc(0)), /dump\.pgdump and globals\.sql are not here/],
    ['beside a dump that is none', tried => planted(tried, 'dump.pgdump', Buffer.from('no dump')), /not appear to be a valid archive/],
  ]
  test.each(mishaps)('its lines, run %s, end with an error and make no database', async (_, folderOf, said) => {
    const place = await made()
    const tried = await begun(place.url, { data: ['core.tenants'] })
    await carryOut(dump, tried)
    const failure = (await failureOf(restore(tried, place, folderOf(tried)))) as unknown as { code?: number; stderr?: string }
    const databases = await place.sql(`SELECT datname FROM pg_database WHERE datname = $1`, [copyOf(place)])
    expect([failure.code, failure.stderr, databases]).toEqual([1, expect.stringMatching(said), []])
  })

  test('its lines, pasted into a shell, stop at the first that fails and leave the shell alive', async () => {
    const place = await made()
    const tried = await begun(place.url, { data: ['core.tenants'] })
    await carryOut(dump, tried)
    await place.sql(`CREATE DATABASE ${copyOf(place)}`)
    const { stdout, stderr } = await restore(tried, place, tried.folder, 'echo "alive after $?"')
    const tables = await (await place.client('the copy', copyOf(place))).query(`SELECT FROM pg_class WHERE relname = 'tenants'`)
    expect([stdout, stderr, tables.rowCount]).toEqual(['alive after 1\n', expect.stringContaining('already exists'), 0])
  })

  test('its counts are those of the dump, however busily somebody writes', async () => {
    const place = await made()
    const writer = await place.client('writer')
    const over = new AbortController()
    const written = (async () => {
      while (!over.signal.aborted) await writer.query(`INSERT INTO core.tenants SELECT coalesce(max(id), 0) + 1, 'new' FROM core.tenants`)
    })()
    const tried = await begun(place.url, { data: ['core.tenants'] })
    await carryOut(dump, tried)
    over.abort()
    await written
    const copy = await restored(tried, place)
    const { rows } = await copy.query(`SELECT 'core.tenants' AS table, count(*)::int AS rows FROM core.tenants`)
    expect(rows).toEqual(manifestOf(tried).tables)
  })

  test('a table that appears while the dump begins is not in it', async () => {
    const place = await made()
    const tried = await begun(place.url, { data: ['core.tenants'] })
    // The guard is asked between the plan of the snapshot and the start of pg_dump.
    let asked = 0
    tried.c.guard = async () => {
      if (++asked === 2) await place.sql(`CREATE TABLE core.late AS SELECT 1 AS n`)
    }
    const { facts } = await carryOut(dump, tried)
    expect(facts).toMatchObject({ tables: 1, excluded: 8 })
  })

  test('a listed partitioned table stands for its partitions, an excluded one is excluded with them', async () => {
    const { url } = await made()
    const [with_, without] = [await begun(url, { data: ['core.log'] }), await begun(url, { data: ['core.tenants'] })]
    for (const tried of [with_, without]) await carryOut(dump, tried)
    expect([with_, without].map(tried => manifestOf(tried).tables?.map(({ table }) => table))).toEqual([
      ['core.log_1', 'core.log_2'],
      ['core.tenants'],
    ])
  })

  test('rows that an extension made configurable come along only where they are listed', async () => {
    const place = await made(`${platform}
      CREATE TABLE core.job (id int);
      INSERT INTO core.job VALUES (1);
      ALTER EXTENSION pgcrypto ADD TABLE core.job;
      UPDATE pg_extension SET extconfig = ARRAY['core.job'::regclass::oid], extcondition = ARRAY[''] WHERE extname = 'pgcrypto';`)
    const [plain, listed] = [await begun(place.url, { data: ['core.tenants'] }), await begun(place.url, { data: ['core.job'] })]
    for (const tried of [plain, listed]) await carryOut(dump, tried)
    expect([plain, listed].map(tried => manifestOf(tried).tables?.map(({ table }) => table))).toEqual([['core.tenants'], ['core.job']])
  })

  test('large objects of others do not stop it', async () => {
    const place = await made(`${platform} SELECT lo_from_bytea(0, 'x');`)
    const role = await place.role('GRANT pg_read_all_data TO %')
    const { proof } = await once(dump, place.as(role), entry({ data: ['core.tenants'] }))
    expect(proof.ok).toBe(true)
  })

  test('plans what it would do, and touches nothing', async () => {
    const { url } = await made()
    const tried = await begun(url, { data: ['core.users'], parents: 'include' })
    const plan = await dump.plan!(tried.c)
    expect(plan).toMatchObject({
      tables: ['core.tenants', 'core.users'],
      added: ['core.users → core.tenants (users_tenant_id_fkey)'],
      excluded: 7,
      viewsNotRestorable: ['core.outbox_size'],
    })
  })
})

describe('pg.dump refuses', () => {
  const refusals: [string, Partial<Dump>, { code: string; message: string | RegExp; hint: string | RegExp }][] = [
    [
      'a table that is not there, and names the nearest',
      { data: ['core.tenants', 'core.event_outbux'] },
      { code: 'table_missing', message: 'core.event_outbux is not in the database', hint: 'did you mean "core.event_outbox"?' },
    ],
    [
      'a view',
      { data: ['core.outbox_size'] },
      { code: 'not_a_table', message: 'core.outbox_size is a materialized view', hint: 'name a table or a partitioned table' },
    ],
    [
      'rows that refer to rows outside the dump, with the whole path',
      { data: ['core.documents'] },
      {
        code: 'parents_missing',
        message:
          /core\.documents → core\.cases \(documents_case_id_fkey\), core\.documents → core\.cases \(documents_case_id_fkey\) → core\.users \(cases_owner_id_fkey\), .* → core\.tenants/,
        hint: /list core\.cases, core\.users, core\.tenants as well, or write parents: include/,
      },
    ],
  ]
  test.each(refusals)('%s', async (_, wanted, { code, message, hint }) => {
    const { url } = await made()
    const failure = await failureOf(once(dump, url, entry(wanted)))
    expect(failure).toMatchObject({ name: 'Refused', code, message: matching(message), hint: matching(hint) })
  })

  test('and with parents: include takes them along, so that it restores', async () => {
    const place = await made()
    const tried = await begun(place.url, { data: ['core.documents'], parents: 'include' })
    await carryOut(dump, tried)
    const copy = await restored(tried, place)
    const { rows } = await copy.query(
      `SELECT count(*)::int AS documents FROM core.documents d JOIN core.cases c ON c.id = case_id JOIN core.users u ON u.id = owner_id`,
    )
    expect(rows).toEqual([{ documents: 400 }])
  })

  test('when a privilege was taken away, naming what cannot be read', async () => {
    const place = await made()
    const role = await place.role(
      `GRANT SELECT ON ALL TABLES IN SCHEMA core, "Vision 2" TO %; GRANT SELECT ON ALL SEQUENCES IN SCHEMA core TO %;
       GRANT USAGE ON SCHEMA "Vision 2" TO %; REVOKE SELECT ON core.event_outbox FROM %; REVOKE SELECT ON SEQUENCE core.event_outbox_id_seq FROM %`,
    )
    expect(await failureOf(once(dump, place.as(role), entry({ data: ['core.tenants'] })))).toMatchObject({
      code: 'privilege_missing',
      message: expect.stringContaining('may not read core.event_outbox, core.event_outbox_id_seq (a sequence)') as string,
    })
  })

  test('when the store has too little space for what is about to come', async () => {
    const { url } = await made()
    expect(await failureOf(once(dump, url, { ...entry({ data: ['core.tenants'] }), free: '1000TiB' }))).toMatchObject({
      code: 'store_full',
    })
  })
})

describe('pg.dump and row level security', () => {
  const secured = `${platform}
    ALTER TABLE core.tenants ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON core.tenants USING (id = current_setting('app.current_tenant_id')::int);`
  const tenants = entry({ data: ['core.tenants'] })

  test('refuses a role that would see a part, naming the tables and the ways out', async () => {
    const place = await made(secured)
    const role = await place.role('GRANT pg_read_all_data TO %')
    expect(await failureOf(once(dump, place.as(role), tenants))).toMatchObject({
      name: 'Refused',
      code: 'row_security',
      message: `row level security hides rows of core.tenants from ${role}: the dump would be a part that looks whole`,
      hint: expect.stringContaining(`CREATE POLICY dbops ON core.tenants FOR SELECT TO ${role} USING (true)`) as string,
    })
  })

  test('does not mind it on tables whose rows are left out', async () => {
    const place = await made(secured)
    const role = await place.role('GRANT pg_read_all_data TO %')
    const { facts } = await once(dump, place.as(role), entry({ data: ['core.log'] }))
    expect(facts.rows).toBe(100)
  })

  const ways: [string, string, string, number | 'row_security'][] = [
    ['BYPASSRLS', 'ALTER ROLE % BYPASSRLS; GRANT pg_read_all_data TO %', 'unfiltered', 10],
    ['the owner', 'GRANT pg_read_all_data TO %; ALTER TABLE core.tenants OWNER TO %', 'unfiltered', 10],
    [
      'the owner of a table that forces it',
      'GRANT pg_read_all_data TO %; ALTER TABLE core.tenants OWNER TO %; ALTER TABLE core.tenants FORCE ROW LEVEL SECURITY',
      '',
      'row_security',
    ],
    [
      'a policy that opens everything',
      'GRANT pg_read_all_data TO %; CREATE POLICY ops ON core.tenants FOR ALL TO % USING (true) WITH CHECK (true)',
      'policy',
      10,
    ],
    [
      'a policy for another role',
      'GRANT pg_read_all_data TO %; CREATE POLICY ops ON core.tenants FOR ALL TO postgres USING (true)',
      '',
      'row_security',
    ],
    [
      'a policy that opens everything and another that restricts',
      'GRANT pg_read_all_data TO %; CREATE POLICY ops ON core.tenants TO % USING (true); CREATE POLICY less ON core.tenants AS RESTRICTIVE USING (id < 5)',
      '',
      'row_security',
    ],
  ]
  test.each(ways)('%s', async (_, grant, filter, outcome) => {
    const place = await made(secured)
    const role = await place.role(grant)
    const seen = await once(dump, place.as(role), tenants).then(
      ({ facts, proof }) => [facts.rows, facts.filter, proof.ok],
      (error: { code: string }) => [error.code],
    )
    expect(seen).toEqual(typeof outcome === 'number' ? [outcome, filter, true] : [outcome])
  })

  test('a policy that was narrowed while the dump ran is found by the proof', async () => {
    const place = await made(secured.replace("current_setting('app.current_tenant_id')::int", '1'))
    const role = await place.role(
      'GRANT pg_read_all_data TO %; CREATE POLICY ops ON core.tenants FOR ALL TO % USING (true) WITH CHECK (true)',
    )
    const tried = await begun(place.as(role), { data: ['core.tenants'] })
    const facts = await dump.run(tried.c)
    await place.sql(`DROP POLICY ops ON core.tenants`)
    expect(await dump.prove!(tried.c, facts)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('row level security hides rows') as string,
    })
  })
})

describe('a dump that breaks off', () => {
  test('a killed pg_dump is an error with its cause, and leaves no file that could be taken for a dump', async () => {
    const { url } = await busy()
    const tried = await begun(url, { data: ['core.tenants'] })
    const failing = failureOf(carryOut(dump, tried))
    process.kill(-(await pgDumpOf(tried)), 'SIGKILL')
    expect([await failing, readdirSync(tried.folder)]).toMatchObject([
      { code: 'tool_failed', message: 'pg_dump was killed by SIGKILL' },
      ['globals.sql'],
    ])
  })

  test('its session ended on the server: the reason is in the error', async () => {
    const place = await busy()
    const tried = await begun(place.url, { data: ['core.tenants'] })
    const failing = failureOf(carryOut(dump, tried))
    await pgDumpOf(tried)
    await place.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'COPY %'`, [
      tried.name,
    ])
    // A backend that cannot write any more ends without a word.
    expect(await failing).toMatchObject({
      code: 'tool_failed',
      message: expect.stringMatching(/terminating connection due to administrator command|server closed the connection/) as string,
      hint: expect.stringContaining('somebody ended the session') as string,
    })
  })

  test('cancelled midway, no process and no session of it are left', async () => {
    const place = await busy()
    const tried = await begun(place.url, { data: ['core.tenants'] })
    const failing = failureOf(carryOut(dump, tried))
    const pid = await pgDumpOf(tried)
    tried.abort.abort(new Error('cancelled'))
    const failure = await failing
    await tried.session.close()
    const sessions = await place.sql(`SELECT query FROM pg_stat_activity WHERE application_name = $1`, [tried.name])
    expect([failure.message, isAlive(pid), sessions, readdirSync(tried.folder)]).toEqual(['cancelled', false, [], ['globals.sql']])
  })

  test('behind a table that a migration holds it gives up, and says what it waited for', async () => {
    const place = await made()
    const migration = await place.client('migration')
    await migration.query(`BEGIN; LOCK TABLE core.event_outbox IN ACCESS EXCLUSIVE MODE`)
    expect(await failureOf(once(dump, place.url, entry({ data: ['core.tenants'] })))).toMatchObject({
      code: 'tool_failed',
      message: expect.stringMatching(
        /is locked by session \d+ "migration" of postgres \(idle in transaction\) since \S+: pg_dump ended .*canceling statement due to (lock|statement) timeout/,
      ) as string,
      hint: expect.stringMatching(/rolls its transaction back.*: SELECT pg_terminate_backend\(\d+\)$/) as string,
    })
  })

  test('a table that it counts and cannot read is told with who holds it', async () => {
    const place = await made()
    const migration = await place.client('migration')
    await migration.query(`BEGIN; LOCK TABLE core.tenants IN ACCESS EXCLUSIVE MODE`)
    expect(await failureOf(once(dump, place.url, entry({ data: ['core.tenants'] })))).toMatchObject({
      code: '55P03',
      message: expect.stringMatching(/is locked by session \d+ "migration" of postgres \(idle in transaction\)/) as string,
    })
  })

  test('its proof says no where nothing is in the store', async () => {
    const { url } = await made()
    const [done, empty] = [await begun(url, { data: ['core.tenants'] }), await begun(url, { data: ['core.tenants'] })]
    const facts = await dump.run(done.c)
    expect(await dump.prove!(empty.c, facts)).toMatchObject({ ok: false, reason: expect.stringContaining('cannot be read back') as string })
  })

  const cut: [string, (whole: Buffer) => Buffer][] = [
    ['empty', () => Buffer.alloc(0)],
    ['cut off', whole => whole.subarray(0, whole.length / 2)],
  ]
  test.each(cut)('its proof says no to roles that are %s in the store', async (_, damaged) => {
    const { url } = await made()
    const tried = await begun(url, { data: ['core.tenants'] })
    const facts = await dump.run(tried.c)
    const globals = `${tried.folder}/globals.sql`
    writeFileSync(globals, damaged(readFileSync(globals)))
    expect(await dump.prove!(tried.c, facts)).toMatchObject({ ok: false, reason: 'globals.sql in the store is not what was written to it' })
  })

  test.each(cut)('its proof says no to roles that were %s before they were written', async (_, damaged) => {
    const { url } = await made()
    const tried = await begun(url, { data: ['core.tenants'] })
    const { write } = tried.writer
    tried.c.artifact.write = async (file, source, signal) => {
      if (file !== 'globals.sql') return write(file, source, signal)
      return write(file, Readable.from([damaged(Buffer.concat(await Array.fromAsync(source)))]), signal)
    }
    const { proof } = await carryOut(dump, tried)
    expect(proof).toMatchObject({ ok: false, reason: 'globals.sql is not whole: the line with which pg_dumpall ends is missing' })
  })

  test('its proof says no to the dump of other tables', async () => {
    const { url } = await made()
    const [done, other] = [await begun(url, { data: ['core.tenants'] }), await begun(url, { data: ['core.log'] })]
    const facts = await dump.run(done.c)
    await dump.run(other.c)
    expect(await dump.prove!(other.c, facts)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('has the rows of 2 tables') as string,
    })
  })
})

async function made(setup = platform): Promise<Ground> {
  const place = await ground(setup)
  grounds.push(place)
  return place
}

/** A dump of it takes some seconds: 60 MB that do not compress. */
const busy = () =>
  made(`${platform}
  INSERT INTO core.tenants SELECT n, noise FROM generate_series(11, 60000) n, LATERAL (SELECT string_agg(md5((n * 31 + i)::text), '') AS noise FROM generate_series(1, 30) i) AS text;`)

async function begun(url: string, wanted: Partial<Dump>): Promise<Try> {
  const tried = await attempt(dump, url, entry(wanted))
  tries.push(tried)
  return tried
}

function entry(wanted: Partial<Dump>) {
  const dumps: Dump = { target: 'core', schema: 'all', data: [], parents: 'refuse', stores: ['main'], ...wanted }
  return { params: { dump: 'metadata' }, entries: { dump: dumps } }
}

const manifestOf = (tried: Try): Manifest => tried.writer.manifest(head(tried.fence))

const copyOf = (place: Ground) => `${place.name}_copy`

/** Feeds the manifest's own lines to a shell as one pastes them, on the same server beside the original. Rejects where the last of them fails. */
function restore(tried: Try, place: Ground, folder = tried.folder, ...then: string[]) {
  const { hostname, port, username, password } = new URL(place.url)
  place.owns(copyOf(place))
  const shell = promisify(execFile)('sh', ['-s'], {
    cwd: folder,
    env: { PATH: process.env.PATH, PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password, DB: copyOf(place) },
  })
  shell.child.stdin!.end([...(manifestOf(tried).restore ?? []), ...then, ''].join('\n'))
  return shell
}

async function restored(tried: Try, place: Ground): Promise<Client> {
  await restore(tried, place)
  return place.client('the copy', copyOf(place))
}

/** An empty folder beside the dump, gone with its store. */
const aside = (tried: Try): string => mkdtempSync(`${tried.folder}-`)

function planted(tried: Try, file: string, content: Buffer): string {
  writeFileSync(`${tried.folder}/${file}`, content)
  return tried.folder
}

/** The pid of pg_dump once it copies rows, found by the name that all processes of an attempt carry. */
const pgDumpOf = (tried: Try): Promise<number> =>
  until('pg_dump has written something', () => {
    if (!tried.progress.some(line => line.endsWith('bytes '))) return undefined
    return readdirSync('/proc')
      .map(Number)
      .find(pid => pid && isDump(pid, tried.name))
  })

function isDump(pid: number, name: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`PGAPPNAME=${name}`)
  } catch {
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => {
      throw new Error('it succeeded')
    },
    (error: Error) => error,
  )

const matching = (said: string | RegExp) => (typeof said === 'string' ? said : (expect.stringMatching(said) as string))
