// pg.restore-check on real dumps and a real scratch server: what it finds, what it refuses, and that each of its checks is needed.
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Refused } from '@dbops/contract/failure'
import { scratchPlace } from '@dbops/servers/scratch-postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checks, mutations } from '../src/restore/all-checks.ts'
import { readDumpManifest } from '../src/restore/dump-manifest.ts'
import { type Found, tryChecks } from '../src/restore/examine.ts'
import { fetchFiles } from '../src/restore/fetch.ts'
import { rebuild } from '../src/restore/rebuild.ts'
import { programFor, type Scratch, startScratch } from '../src/restore/scratch.ts'
import { stopwatch } from '../src/restore/stopwatch.ts'
import restoreCheck from '../src/tasks/restore-check.ts'
import { attempt, type Ground, ground, installation } from './harness.ts'
import { checked, platform, type Stored, stored } from './restore-ground.ts'

const app = `t_app_${process.pid}`
let place: Ground
let backup: Stored

beforeAll(async () => {
  place = await ground(`CREATE ROLE ${app} LOGIN; ${platform(app)}`)
  backup = await stored(place)
})
afterAll(async () => {
  await backup?.tried.close()
  await place?.drop()
})

describe('a good dump', () => {
  test('passes every check, and the checks see each fault that is planted for them', async () => {
    const { facts, proof } = await checked(place, backup, { mutate: true })
    const names = facts.checks.map(({ name }) => name)
    expect([facts.wrong, proof.ok, facts.mutations, names, backup.backups.verdicts, facts.viewsNotRestorable]).toMatchObject([
      [],
      true,
      { caught: mutations.length, total: mutations.length },
      ['globals', 'restore', 'analyze', ...checks.map(({ name }) => name)],
      ['pass'],
      ['core.outbox_size'],
    ])
  })
})

describe('without one of the checks', () => {
  let scratch: Scratch
  let found: Found

  beforeAll(async () => {
    const manifest = readDumpManifest(backup.backup)
    const signal = AbortSignal.timeout(120_000)
    const clock = stopwatch(() => undefined)
    scratch = await startScratch({
      name: 'dbops:test:1:pg.restore-check',
      folder: `test-${process.pid}`,
      version: manifest.server.version,
      dumpedBy: '15.0',
      signal,
    })
    await fetchFiles(manifest.files, file => backup.backups.read(backup.backup, file), scratch.server.folder, {
      signal,
      tell: () => undefined,
    })
    found = { thorough: false, manifest, appRole: app, fileFaults: [], ...(await rebuild(scratch, manifest, clock)) }
  })
  afterAll(() => scratch?.server.stop())

  // A check that no mutation needs would be one that nobody has seen failing.
  test.each(checks.map(check => [check.name, check] as const))('%s, a planted fault is missed', async (_, off) => {
    const others = checks.filter(check => check !== off)
    const planted = mutations.filter(({ level }) => level === off.level)
    const { caught, total } = await tryChecks(scratch, found, others, planted, AbortSignal.timeout(60_000))
    expect([total, caught < total]).toEqual([planted.length, true])
  })
})

describe('a bad dump', () => {
  test('whose file was changed in the store fails by its checksum, is not restored, and its report is kept beside it', async () => {
    const damaged = await stored(place)
    appendFileSync(`${damaged.folder}/dump.pgdump`, 'x')
    const { facts, proof } = await checked(place, damaged)
    await damaged.tried.close()
    const outcomes = new Set(facts.checks.filter(({ name }) => name !== 'checksums').map(({ outcome }) => outcome))
    expect([facts.verdict, facts.wrong[0], [...outcomes], proof, damaged.backups.verdicts]).toMatchObject([
      'fail',
      expect.stringMatching(/^checksums: dump\.pgdump has \d+ bytes, not \d+$/),
      ['not checked'],
      { ok: false, reason: expect.stringContaining('checksums: dump.pgdump has') },
      ['fail'],
    ])
  })

  test('that pg_restore cannot bring back fails with its last words', async () => {
    // A constraint that looks into another table: true in the original, false while the other table is still empty.
    const odd = await ground(`
      CREATE SCHEMA core;
      CREATE TABLE core.a (id int);
      CREATE TABLE core.b (id int);
      INSERT INTO core.b VALUES (1);
      CREATE FUNCTION core.in_b(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM core.b WHERE id = $1)';
      ALTER TABLE core.a ADD CONSTRAINT known CHECK (core.in_b(id));
      INSERT INTO core.a VALUES (1)`)
    const dumped = await stored(odd, ['core.a'])
    const { facts, proof } = await checked(odd, dumped)
    await dumped.tried.close()
    await odd.drop()
    expect([facts.verdict, facts.checks[1], facts.wrong[0], proof.reason]).toMatchObject([
      'fail',
      { name: 'restore', outcome: 'fail', faults: 1 },
      expect.stringMatching(/violates check constraint "known"/),
      expect.stringMatching(/^fail: restore: pg_restore ended with code 1/),
    ])
  })

  test('with fewer rows than were counted, and a policy and a role less, fails with each of them', async () => {
    const { backups, backup: honest, ...rest } = backup
    const manifest = structuredClone(honest.manifest) as Loose
    manifest.tables.find(({ table }) => table === 'core.users')!.rows = 301
    manifest.policies.push({ table: 'core.users', name: 'gone' })
    manifest.roles.push('nobody_here')
    const worse = { ...honest, manifest }
    const { facts } = await checked(place, { ...rest, backup: worse, backups: { ...backups, list: () => Promise.resolve([worse]) } })
    expect(facts.wrong).toEqual([
      'owners: role nobody_here is not in the copy',
      'counts: core.users has 300 rows, not 301',
      'row-security: policy gone of core.users is not in the copy',
    ])
  })
})

test('a dump of before its manifest said what there is, with an extension that is not installed here, and a check left out: partial, and not verified', async () => {
  const { backups, backup: honest, ...rest } = backup
  const manifest = structuredClone(honest.manifest) as Loose
  delete manifest.facts['structure']
  manifest.extensions.push({ name: 'nowhere_to_be_found', version: '1' })
  const older = { ...honest, manifest }
  const { facts, proof } = await checked(
    place,
    { ...rest, backup: older, backups: { ...backups, list: () => Promise.resolve([older]) } },
    { without: ['corruption'] },
  )
  const unchecked = facts.checks.filter(check => check.outcome === 'not checked').map(({ name }) => name)
  expect([facts.verdict, proof.ok, unchecked, facts.leftOut]).toEqual([
    'partial',
    false,
    ['relations', 'extensions', 'owners', 'grants', 'constraints', 'indexes', 'triggers'],
    ['extension nowhere_to_be_found'],
  ])
})

test('a scratch server that dies in the middle is no verdict about the backup', async () => {
  const tried = await attempt(restoreCheck, place.url, { params: { dump: 'metadata' } })
  const folder = join(scratchPlace(), `dbops-scratch-${installation}-${tried.fence}`)
  const before = backup.backups.verdicts.length
  Object.assign(tried.c, {
    backups: backup.backups,
    progress: (_: number, __: number | null, ___: string, note: string) => {
      if (note === 'relations') process.kill(Number(readFileSync(`${folder}/data/postmaster.pid`, 'utf8').split('\n')[0]), 'SIGKILL')
    },
  })
  const ended = await restoreCheck.run(tried.c).catch((error: unknown) => error)
  await tried.close()
  expect([ended instanceof Error, backup.backups.verdicts.length - before, existsSync(folder)]).toEqual([true, 0, false])
})

test.each(['fetch', 'restore', 'checks'])('cancelled while it is at %s, it ends at once and its server is gone', async phase => {
  const tried = await attempt(restoreCheck, place.url, { params: { dump: 'metadata' } })
  const folder = join(scratchPlace(), `dbops-scratch-${installation}-${tried.fence}`)
  Object.assign(tried.c, {
    backups: backup.backups,
    progress: (_: number, __: number | null, ___: string, note: string) => {
      if (note === phase) tried.abort.abort(new Error('cancelled'))
    },
  })
  const ended = await restoreCheck.run(tried.c).catch((error: unknown) => error)
  await tried.close()
  expect([(ended as Error).message, existsSync(folder), existsSync(`${folder}.claim`)]).toEqual(['cancelled', false, false])
})

describe('refused before anything is started', () => {
  const refusals: [string, Record<string, unknown>, (manifest: Loose) => void, string, RegExp][] = [
    ['without a backup of that name', { dump: 'other' }, () => undefined, 'no_backup', /there is no dump "other"/],
    ['a backup that is not there', { backup: 'ffffffff' }, () => undefined, 'backup_unknown', /no backup of "metadata" has the id/],
    [
      'a dump of a server that is newer than those installed here',
      {},
      manifest => (manifest.server.version = '99.1'),
      'server_too_new',
      /the dump is of PostgreSQL 99\.1, and the newest server installed/,
    ],
    [
      'a copy for which there is no room',
      {},
      manifest => (manifest.facts['bytesOnDisk'] = 1e15),
      'scratch_full',
      /has .* left; .*TiB are needed for the copy/,
    ],
  ]
  test.each(refusals)('%s', async (_, params, change, code, message) => {
    const { backups, backup: honest, ...rest } = backup
    const manifest = structuredClone(honest.manifest) as Loose
    change(manifest)
    const other = { ...honest, manifest }
    const list = ({ name }: { name?: string }) => Promise.resolve(name === 'metadata' ? [other] : [])
    const refusal = await checked(place, { ...rest, backup: other, backups: { ...backups, list } }, params).catch((error: unknown) => error)
    expect(refusal).toSatisfy(error => error instanceof Refused && error.code === code && message.test(error.message))
  })

  test('the server of the original’s version is taken, else the next newer one', () => {
    const installed = [15, 17, 18].map(major => ({ major, program: `/usr/lib/postgresql/${major}/bin/postgres` }))
    expect(['15.18', '16.1', '18.4'].map(version => programFor(version, installed).major)).toEqual([15, 17, 18])
  })
})

interface Loose extends Record<string, unknown> {
  server: { version: string }
  tables: { table: string; rows: number }[]
  policies: { table: string; name: string }[]
  extensions: { name: string; version: string }[]
  roles: string[]
  facts: Record<string, unknown>
}
