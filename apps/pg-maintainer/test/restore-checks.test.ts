// Checks of a restored copy on databases that have one thing wrong, and on those that only look so. No server is started for them: any database can be looked at.
import { Refused } from '@dbops/contract/failure'
import { afterEach, describe, expect, test } from 'vitest'
import { rowSecurity } from '../src/checks/row-security.ts'
import { sequences } from '../src/checks/sequences.ts'
import { findAppRole } from '../src/restore/app-role.ts'
import { type Check, type Copy, NotChecked } from '../src/restore/check.ts'
import type { DumpManifest } from '../src/restore/dump-manifest.ts'
import { withoutPlaces } from '../src/restore/globals.ts'
import { runCheck, verdictOf } from '../src/restore/verdict.ts'
import restoreCheck from '../src/tasks/restore-check.ts'
import { attempt, type Ground, ground, type Try } from './harness.ts'

const grounds: Ground[] = []
const tries: Try[] = []
afterEach(async () => {
  for (const one of tries.splice(0)) await one.close()
  for (const one of grounds.splice(0)) await one.drop()
})

describe('row level security', () => {
  const cases: [string, string, RegExp | undefined][] = [
    ['that holds', `CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true))`, undefined],
    ['that ends with an error when nobody is set', `CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant'))`, undefined],
    ['written the other way round', `CREATE POLICY p ON core.t USING (current_setting('app.tenant', true) = tenant)`, undefined],
    ['with casts', `CREATE POLICY p ON core.t USING (number = NULLIF(current_setting('app.tenant', true), '')::int)`, undefined],
    ['that asks no setting, which nobody can judge', `CREATE POLICY p ON core.t USING (true)`, undefined],
    [
      'that lets everybody through beside one that holds',
      `CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true)); CREATE POLICY q ON core.t USING (true)`,
      /shows % 6 rows while app\.tenant is not set/,
    ],
    [
      'that shows all while nobody is set',
      `CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true) OR current_setting('app.tenant', true) = '')`,
      /shows % 6 rows while app\.tenant is not set/,
    ],
    [
      'that shows rows of others',
      `CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant') OR shared)`,
      /shows % 1 rows of other tenants/,
    ],
    [
      'by which rows can be given away',
      `CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true)) WITH CHECK (true);
       CREATE POLICY q ON core.t FOR SELECT USING (number = 1 AND current_setting('app.tenant', true) <> '')`,
      /% can move a row of core\.t to another tenant|shows % \d rows of other tenants/,
    ],
    [
      'that nobody passes',
      `CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true) AND false)`,
      /none of the 3 rows/,
    ],
  ]
  test.each(cases)('%s', async (_, policy, fault) => {
    const { copy, role } = await made(policy)
    const faults = await within(copy, rowSecurity)
    const told = fault && expect.stringMatching(new RegExp(fault.source.replaceAll('%', role)))
    expect(faults).toEqual(told ? expect.arrayContaining([told]) : [])
  })

  test.each([
    ['has BYPASSRLS', 'ALTER ROLE % BYPASSRLS', /has BYPASSRLS/],
    ['is a superuser', 'ALTER ROLE % SUPERUSER', /is a superuser/],
    ['owns the table, and it is not forced', 'ALTER TABLE core.t OWNER TO %', /does not bind %, its owner/],
  ])('whose application %s binds nobody', async (_, change, fault) => {
    const { copy, role, place } = await made(`CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true))`)
    await place.sql(change.replace('%', role))
    const faults = await within(copy, rowSecurity)
    await place.sql(`ALTER ROLE ${role} NOSUPERUSER NOBYPASSRLS`)
    expect(faults).toEqual([expect.stringMatching(new RegExp(fault.source.replace('%', role)))])
  })

  test('is tried as the role that a policy names, else as one that may read the table; as nobody it is not checked', async () => {
    const { copy, role, place } = await made(`CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true))`)
    const byGrant = await findAppRole(copy.pg)
    const named = await place.role()
    await place.sql(`ALTER POLICY p ON core.t TO ${named}`)
    const byPolicy = await findAppRole(copy.pg)
    expect([byGrant, byPolicy]).toEqual([role, named])
    await expect(within({ ...copy, appRole: undefined }, rowSecurity)).rejects.toThrow(NotChecked)
  })

  test('is believed only after a leak that was planted has been seen as the application', async () => {
    const { copy } = await made(`CREATE POLICY p ON core.t USING (tenant = current_setting('app.tenant', true))`)
    expect(await runCheck(copy, rowSecurity, new AbortController().signal)).toMatchObject({ outcome: 'pass', faults: [] })
  })
})

test('sequences: one that is owned, one named in a default, one that counts down and one that begins anew', async () => {
  const { copy } = await made(
    '',
    `
    CREATE TABLE core.owned (id serial); INSERT INTO core.owned VALUES (5);
    CREATE SEQUENCE core.loose; CREATE TABLE core.named (id bigint DEFAULT nextval('core.loose')); INSERT INTO core.named VALUES (1);
    CREATE TABLE core.down (id int GENERATED BY DEFAULT AS IDENTITY (INCREMENT -1 MAXVALUE -1)); INSERT INTO core.down VALUES (-3);
    CREATE TABLE core.round (id int GENERATED BY DEFAULT AS IDENTITY (CYCLE)); INSERT INTO core.round VALUES (9);
    CREATE TABLE core.good (id serial); INSERT INTO core.good DEFAULT VALUES;
    CREATE TABLE core.empty (id serial)`,
  )
  expect(await within(copy, sequences)).toEqual([
    'sequence core.down_id_seq would give -1, and core.down has id -3 already',
    'sequence core.loose would give 1, and core.named has id 1 already',
    'sequence core.owned_id_seq would give 1, and core.owned has id 5 already',
  ])
})

describe('a check', () => {
  const silent = {
    name: 'x',
    about: 'x',
    level: 'files',
    check: () => Promise.resolve([]),
    control: () => Promise.resolve(['seen']),
  } as const
  const outcomes: [string, Partial<Check>, Record<string, unknown>, string][] = [
    ['that sees its planted fault and no other passes', {}, { outcome: 'pass' }, 'pass'],
    [
      'that does not see what is planted for it is blind, and its silence means nothing',
      { control: () => Promise.resolve([]) },
      { outcome: 'blind' },
      'fail',
    ],
    [
      'whose control breaks is blind',
      { control: () => Promise.reject(new Error('broken')) },
      { outcome: 'blind', reason: 'its negative control failed: broken' },
      'fail',
    ],
    [
      'that breaks has found something',
      { check: () => Promise.reject(new Error('no such table')) },
      { outcome: 'fail', faults: ['it could not be carried out: no such table'] },
      'fail',
    ],
    [
      'without its program is not checked',
      { control: () => Promise.reject(new Refused('pg_amcheck is not installed', { code: 'tool_missing' })) },
      { outcome: 'not checked', reason: 'pg_amcheck is not installed' },
      'partial',
    ],
    [
      'with nothing to compare is not checked',
      { check: () => Promise.reject(new NotChecked('nothing')) },
      { outcome: 'not checked', reason: 'nothing' },
      'partial',
    ],
    [
      'of many faults tells ten and their number',
      { check: () => Promise.resolve(Array.from({ length: 30 }, (_, n) => `fault ${n}`)) },
      { outcome: 'fail', faultCount: 30 },
      'fail',
    ],
  ]
  test.each(outcomes)('%s', async (_, check, outcome, verdict) => {
    const report = await runCheck({} as Copy, { ...silent, ...check }, new AbortController().signal)
    expect([report, verdictOf([report]), report.faults.length <= 10]).toMatchObject([outcome, verdict, true])
  })

  test.each(['check', 'control'] as const)('whose %s meets a server without room is no verdict', async at => {
    const { copy } = await made('CREATE POLICY p ON core.t USING (true)')
    const full = async () => void (await copy.pg.execute(`DO $$ BEGIN RAISE 'no space left on the disk' USING ERRCODE = '53100'; END $$`))
    const check: Check = { ...silent, [at]: () => full().then(() => []) }
    await expect(runCheck(copy, check, new AbortController().signal)).rejects.toThrow('no space left on the disk')
  })
})

test('tablespaces stay where they are, and who granted a membership is left open', () => {
  const globals = [
    'CREATE ROLE app;',
    "CREATE TABLESPACE fast OWNER app LOCATION '/mnt/fast';",
    'GRANT ALL ON TABLESPACE fast TO app;',
    'GRANT owners TO app WITH ADMIN OPTION GRANTED BY postgres;',
  ].join('\n')
  expect(withoutPlaces(globals).split('\n')).toEqual(['CREATE ROLE app;', 'GRANT owners TO app WITH ADMIN OPTION;'])
})

/** A table of two tenants with three rows each, under `policy`, and whatever more. */
async function made(policy: string, more = ''): Promise<{ copy: Copy; role: string; place: Ground }> {
  const place = await ground(`
    CREATE SCHEMA core;
    CREATE TABLE core.t (tenant text, number int, shared boolean);
    INSERT INTO core.t SELECT n % 2, n % 2, n = 1 FROM generate_series(1, 6) n;
    ALTER TABLE core.t ENABLE ROW LEVEL SECURITY;
    ${policy};
    ${more}`)
  grounds.push(place)
  const role = await place.role('GRANT SELECT, UPDATE ON core.t TO %')
  const tried = await attempt(restoreCheck, place.url, { params: { dump: 'metadata' } })
  tries.push(tried)
  const manifest = { policies: [], tables: [], facts: { views: [], structure: null, bytesOnDisk: null } } as unknown as DumpManifest
  return { copy: { pg: tried.c.pg, manifest, appRole: role, say: () => undefined } as unknown as Copy, role, place }
}

async function within(copy: Copy, check: Check): Promise<string[]> {
  await copy.pg.execute('BEGIN')
  try {
    return await check.check(copy)
  } finally {
    await copy.pg.execute('ROLLBACK')
  }
}
