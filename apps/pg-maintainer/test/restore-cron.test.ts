// A dump of a database with pg_cron: its jobs are not in the copy, where they would run, and against the original at that.
import { findOrInstall } from '@dbops/servers/install'
import { startPostgres } from '@dbops/servers/postgres'
import type { Server } from '@dbops/servers/resolve'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chooseEntries } from '../src/restore/table-of-contents.ts'
import { type Ground, ground } from './harness.ts'
import { checked, stored } from './restore-ground.ts'

// A server in Docker, or one that is given, has what it has: then what needs pg_cron is skipped, and the reason stands in the output.
const missing = process.env['DBOPS_TEST_PG_URL']
  ? 'the server of the tests is a given one'
  : await findOrInstall('pg_cron').then(
      () => undefined,
      (error: Error) => error.message,
    )
if (missing) console.warn(`pg.restore-check is not tried on a real pg_cron: ${missing}`)

describe.skipIf(missing)('a database with pg_cron', () => {
  let server: Server
  let home: Ground
  beforeAll(async () => {
    server = await startPostgres({ version: '15', settings: { shared_preload_libraries: 'pg_cron' } })
    home = await ground(
      `CREATE SCHEMA core; CREATE TABLE core.ticks (at timestamptz DEFAULT now()); INSERT INTO core.ticks DEFAULT VALUES;
       CREATE EXTENSION pg_cron; SELECT cron.schedule('tick', '0 0 1 1 *', 'INSERT INTO core.ticks DEFAULT VALUES')`,
      { url: server.url, name: 'postgres', drop: () => Promise.resolve() },
    )
  })
  afterAll(async () => {
    await home?.drop()
    await server?.stop()
  })

  test('passes without the extension, its jobs and their rows, and says that they are left out', async () => {
    const backup = await stored(home, ['core.ticks', 'cron.job'])
    const { facts } = await checked(home, backup)
    await backup.tried.close()
    const left = facts.leftOut.map(entry => entry.replace(/ postgres$/, ''))
    expect([facts.verdict, facts.wrong, left]).toEqual([
      'pass',
      [],
      expect.arrayContaining([
        'extension pg_cron',
        'EXTENSION - pg_cron',
        'TABLE DATA cron job',
        'SEQUENCE SET cron jobid_seq',
      ]) as string[],
    ])
  })
})

const entries: [string, boolean][] = [
  ['2; 3079 16386 EXTENSION - pg_cron ', false],
  ['3420; 0 0 COMMENT - EXTENSION pg_cron ', false],
  ['3406; 0 16390 TABLE DATA cron job postgres', false],
  ['3424; 0 0 SEQUENCE SET cron jobid_seq postgres', false],
  ['3421; 0 0 ACL cron TABLE job postgres', false],
  ['3422; 0 0 ACL - SCHEMA cron postgres', false],
  ['215; 1259 16419 TABLE core cron postgres', true],
  ['3407; 0 16419 TABLE DATA core job postgres', true],
  ['3; 3079 16400 EXTENSION - pgcrypto ', true],
  ['3410; 6100 16500 SUBSCRIPTION - feed postgres', false],
  ['3411; 0 16501 USER MAPPING - USER MAPPING app SERVER elsewhere postgres', false],
  ['3412; 0 16502 MATERIALIZED VIEW DATA core sums postgres', false],
  ['214; 1259 16430 MATERIALIZED VIEW core sums postgres', true],
]
test.each(entries)('the entry %s is brought back: %s', (line, kept) => {
  expect(chooseEntries([line], ['pg_cron']).kept).toEqual(kept ? [line] : [])
})
