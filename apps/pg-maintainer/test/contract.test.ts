// Every task of this maintainer keeps the contract of tasks; a new one is tried here by being saved.
import { type Trial, taskContract, tasksIn } from '@dbops/testing/task-contract'
import { afterAll } from 'vitest'
import type { PostgresVerbs } from '../src/task.ts'
import { attempt, type Ground, ground, type Try } from './harness.ts'

const places: Ground[] = []
const tries: Try[] = []
afterAll(async () => {
  for (const tried of tries) await tried.close()
  for (const place of places) await place.drop()
})

const tasks = await tasksIn<PostgresVerbs>('pg', new URL('../src/tasks/', import.meta.url))

async function untouched(name: string, given: Parameters<typeof attempt>[2], facts: (place: Ground) => Promise<Record<string, unknown>>) {
  const place = await ground(
    'CREATE SCHEMA core; CREATE TABLE core.tenants (id int); INSERT INTO core.tenants SELECT generate_series(1, 100)',
  )
  places.push(place)
  const tried = await attempt(tasks.find(([expected]) => expected === name)![1], place.url, given)
  tries.push(tried)
  return { context: tried.c, facts: await facts(place) }
}

const trials: Record<string, Trial<PostgresVerbs>> = {
  // It claims a verdict of a backup that no catalogue has.
  'pg.restore-check': {
    untouched: () =>
      untouched('pg.restore-check', { params: { dump: 'metadata' } }, () =>
        Promise.resolve({
          verdict: 'pass',
          backup: { id: 'none', createdAt: new Date(0).toISOString(), location: 'file:///none' },
          versions: { original: '15.18', scratch: '15.18' },
          checks: [],
          wrong: [],
          notes: [],
          mutations: null,
          leftOut: [],
          viewsNotRestorable: [],
          tables: 0,
          rows: 0,
          bytes: 0,
          rpoSeconds: 0,
          rtoSeconds: 0,
          seconds: {},
          evidence: { file: 'checks/none.json', sha256: '0' },
        }),
      ),
  },
  'pg.vacuum-full': {
    untouched: () =>
      untouched('pg.vacuum-full', { params: { tables: ['core.tenants'] } }, async place => {
        const [{ oid, node }] = (await place.sql<{ oid: number; node: number }>(
          `SELECT 'core.tenants'::regclass::oid AS oid, pg_relation_filenode('core.tenants') AS node`,
        )) as [{ oid: number; node: number }]
        const sizes = { bytesBefore: 81920, bytesAfter: 8192, deadBefore: 100, filenodeBefore: node }
        return { tables: [{ table: 'core.tenants', oid, seconds: 1, tries: 1, holders: [], ...sizes }] }
      }),
  },
  'pg.vacuum': {
    untouched: () =>
      untouched('pg.vacuum', { params: { tables: ['core.tenants'] } }, async place => {
        const [{ oid }] = (await place.sql<{ oid: number }>(`SELECT 'core.tenants'::regclass::oid AS oid`)) as [{ oid: number }]
        const table = {
          table: 'core.tenants',
          oid,
          why: [],
          startedAt: new Date(0).toISOString(),
          seconds: 0,
          deadBefore: 100,
          deadAfter: 0,
          bytesBefore: 8192,
          bytesAfter: 8192,
          ageBefore: 1,
          ageAfter: 1,
          frozen: false,
          holders: [],
        }
        return { tables: [table], analyzed: [], left: 0 }
      }),
  },
  'pg.analyze': {
    untouched: () =>
      untouched('pg.analyze', { params: { tables: ['core.tenants'] } }, async place => {
        const [{ oid }] = (await place.sql<{ oid: number }>(`SELECT 'core.tenants'::regclass::oid AS oid`)) as [{ oid: number }]
        const begun = { startedAt: new Date(0).toISOString(), seconds: 0 }
        return { tables: [{ table: 'core.tenants', oid, why: null, ...begun, changedBefore: 100, rowsBefore: 0, rowsAfter: 100 }], left: 0 }
      }),
  },
  'pg.purge': {
    untouched: () =>
      untouched(
        'pg.purge',
        {
          params: { policy: 'old' },
          entries: { policy: { target: 'core', table: 'core.tenants', by: 'born', age: '1d', atMost: 95 } },
          cutOff: new Date(),
        },
        async place => {
          await place.sql(`ALTER TABLE core.tenants ADD born timestamptz DEFAULT '2020-01-01Z'`)
          const [{ xid }] = (await place.sql<{ xid: string }>(`SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text AS xid`)) as [
            { xid: string },
          ]
          return {
            table: 'core.tenants',
            cutOff: new Date().toISOString(),
            deleted: 100,
            batches: 1,
            way: 'blocks',
            why: 'no index',
            partitions: { emptied: 0, rowsAbout: 0 },
            left: 0,
            locked: 0,
            holders: [],
            oldestKept: null,
            resumedAt: null,
            pace: { longestMs: 1, size: 16, settledAfter: null, waited: {} },
            seenBefore: xid,
          }
        },
      ),
  },
  'pg.refresh-views': {
    untouched: () =>
      untouched(
        'pg.refresh-views',
        { params: { group: 'vision' }, entries: { group: { target: 'core', members: ['core.totals'] } } },
        async place => {
          await place.sql(`CREATE MATERIALIZED VIEW core.totals AS SELECT count(*) FROM core.tenants`)
          // Of a transaction that came later and did something else.
          const [{ transaction }] = (await place.sql<{ transaction: string }>(`SELECT pg_current_xact_id()::text AS transaction`)) as [
            { transaction: string },
          ]
          const [{ oid }] = (await place.sql<{ oid: number }>(`SELECT 'core.totals'::regclass::oid AS oid`)) as [{ oid: number }]
          const view = { view: 'core.totals', oid, way: 'lock', seconds: 0, rowsBefore: 1, rowsAfter: 1, mark: transaction }
          return { views: [view], asOf: new Date().toISOString(), transaction, tries: 1 }
        },
      ),
  },
  'pg.dump': {
    untouched: () =>
      untouched(
        'pg.dump',
        {
          params: { dump: 'metadata' },
          entries: { dump: { target: 'core', schema: 'all', data: ['core.tenants'], parents: 'refuse', stores: ['main'] } },
        },
        async () => ({
          tables: 1,
          rows: 100,
          bytes: 4096,
          files: 2,
          excluded: 0,
          filter: 'unfiltered',
          sha256: { 'dump.pgdump': '0'.repeat(64), 'globals.sql': '0'.repeat(64) },
          contents: '0'.repeat(64),
          seconds: { plan: 0, globals: 0, dump: 0, counts: 0 },
        }),
      ),
  },
}

for (const [expected, task] of tasks) taskContract(expected, task, trials[expected])
