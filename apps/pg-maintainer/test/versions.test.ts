// Every task and probe on PostgreSQL 16 and 18, beside the 15 of all other tests. A long run: the servers are fetched once per machine.
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Probe, Task } from '@dbops/contract/task'
import { createDatabase, dropDatabase, startPostgres } from '@dbops/servers/postgres'
import { wheelPostgres } from '@dbops/servers/postgres-wheel'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { PostgresVerbs } from '../src/task.ts'
import analyze from '../src/tasks/analyze.ts'
import dump from '../src/tasks/dump.ts'
import purge from '../src/tasks/purge.ts'
import refresh from '../src/tasks/refresh-views.ts'
import vacuum from '../src/tasks/vacuum.ts'
import { attempt, carryOut, type Ground, ground, lookOnce } from './harness.ts'
import { checked, stored } from './restore-ground.ts'

const setup = `
  CREATE SCHEMA core;
  CREATE TABLE core.tenants (id int PRIMARY KEY) WITH (autovacuum_enabled = off);
  INSERT INTO core.tenants SELECT generate_series(1, 2000);
  CREATE TABLE core.outbox (id int PRIMARY KEY, status text, published_at timestamptz) WITH (autovacuum_enabled = off);
  INSERT INTO core.outbox SELECT n, 'PUBLISHED', now() - interval '1 hour' * n FROM generate_series(1, 1000) n;
  CREATE MATERIALIZED VIEW core.totals AS SELECT count(*) AS n FROM core.tenants;
  CREATE UNIQUE INDEX ON core.totals (n);
  CREATE MATERIALIZED VIEW core.more AS SELECT n + 1 AS n FROM core.totals;`
const works: [string, Task<PostgresVerbs>, Parameters<typeof attempt>[2]][] = [
  [
    'pg.purge',
    purge,
    {
      params: { policy: 'outbox' },
      entries: {
        policy: { target: 'core', table: 'core.outbox', where: "status = 'PUBLISHED'", by: 'published_at', age: '7d', atMost: 95 },
      },
      cutOff: new Date(Date.now() - 7 * 86_400_000),
    },
  ],
  ['pg.vacuum, whatever needs it', vacuum, {}],
  ['pg.analyze, whatever needs it', analyze, {}],
  [
    'pg.refresh-views',
    refresh,
    { params: { group: 'all' }, entries: { group: { target: 'core', members: ['core.more', 'core.totals'] } } },
  ],
  [
    'pg.dump',
    dump,
    {
      params: { dump: 'metadata' },
      entries: { dump: { target: 'core', schema: 'all', data: ['core.tenants'], parents: 'refuse', stores: ['main'] } },
    },
  ],
]
const folder = new URL('../src/probes/', import.meta.url)
const probes = readdirSync(folder).filter(file => file.endsWith('.ts'))

describe.runIf(process.env.DBOPS_LONG).each(['16', '18'])('on PostgreSQL %s', version => {
  let place: Ground
  let stop: () => Promise<void>
  const path = process.env.PATH
  beforeAll(async () => {
    const server = await startPostgres({ version })
    stop = server.stop
    const url = await createDatabase(server.url, 'core')
    place = await ground(setup, { url, name: 'core', drop: () => dropDatabase(server.url, 'core') })
    await place.sql(`DELETE FROM core.tenants WHERE id > 1000`)
    await place.sql(`SELECT pg_stat_force_next_flush()`)
  }, 180_000)
  afterAll(async () => {
    process.env.PATH = path
    await place?.drop()
    await stop?.()
  })

  test('a server that is newer than the client programs is refused by name', async () => {
    const [, , given] = works.at(-1)!
    const tried = await attempt(dump, place.url, given)
    await expect(carryOut(dump, tried)).rejects.toMatchObject({
      name: 'Refused',
      code: 'tool_too_old',
      message: expect.stringMatching(new RegExp(`^pg_dump\\w* is version 15\\..* and the server is ${version}\\.`)) as string,
      hint: `apt-get install postgresql-client-${version}`,
    })
    await tried.close()
  })

  test.each(works)('%s succeeds and proves it', async (_, task, given) => {
    process.env.PATH = `${dirname(await wheelPostgres(version))}:${path}`
    const tried = await attempt(task, place.url, given)
    const { facts, proof } = await carryOut(task, tried)
    await tried.close()
    expect([proof.ok, JSON.stringify(facts).length > 50], proof.reason).toEqual([true, true])
  })

  test('a dump of it is restored into a server of the same version, and found whole', async () => {
    process.env.PATH = `${dirname(await wheelPostgres(version))}:${path}`
    const backup = await stored(place, ['core.tenants'])
    const { facts } = await checked(place, backup)
    await backup.tried.close()
    // The wheel has no amcheck, so the pages are the one thing that nobody looked at, and that makes the verdict a partial one.
    const others = facts.checks.filter(({ name }) => name !== 'corruption')
    expect([facts.wrong, others.filter(({ outcome }) => outcome !== 'pass'), facts.verdict]).toEqual([
      ['corruption is not checked: the extension amcheck is not installed beside this maintainer'],
      [],
      'partial',
    ])
  })

  test.each(probes)('the probe in %s takes a reading', async file => {
    const { default: probe } = (await import(new URL(file, folder).href)) as { default: Probe<PostgresVerbs> }
    const { result } = await lookOnce(probe, place.url)
    expect(result).toBeTypeOf('object')
  })
})
