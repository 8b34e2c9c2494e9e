// The panel of the platform's own document: every figure that it shows of PostgreSQL is in a reading, or null with its reason beside it. Backups are the ledger's.
import { purge } from '@dbops/contract/config-file'
import type { Probe } from '@dbops/contract/task'
import { afterAll, beforeAll, expect, test } from 'vitest'
import health from '../../src/probes/health.ts'
import outbox from '../../src/probes/outbox.ts'
import slowStatements from '../../src/probes/slow-statements.ts'
import tables from '../../src/probes/tables.ts'
import type { PostgresVerbs } from '../../src/task.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

let place: Ground
beforeAll(async () => {
  place = await ground(`
    CREATE SCHEMA core; CREATE TABLE core.event_outbox (id int, status text, created_at timestamptz);
    INSERT INTO core.event_outbox SELECT n, 'PENDING', now() FROM generate_series(1, 12) n`)
})
afterAll(() => place.drop())

type Result = Record<string, unknown> & {
  tables: [Record<string, unknown>]
  connections: Record<string, number>
  diskUsage: Record<string, unknown>
  space: Record<string, unknown>
}

const shown: [figure: string, probe: Probe<PostgresVerbs>, of: (result: Result) => unknown][] = [
  ['version', health, ({ version }) => version],
  ['connections, active', health, ({ connections }) => connections['active']],
  ['connections, at most', health, ({ maxConnections }) => maxConnections],
  ['disk, percent', health, ({ diskUsage }) => diskUsage['percent'] ?? diskUsage['reason']],
  ['disk, used', health, ({ space }) => space['usedBytes']],
  ['uptime', health, ({ uptimeSeconds }) => uptimeSeconds],
  ['replication lag', health, ({ replicationLagSeconds, replicationLagReason }) => replicationLagSeconds ?? replicationLagReason],
  ['slow statements per hour', slowStatements, ({ perHour, reason }) => perHour ?? reason],
  ['dead rows', tables, ({ tables: [outbox] }) => outbox['dead']],
  ['last vacuum; null: none since', tables, ({ tables: [outbox], statisticsSince }) => [outbox['lastVacuum'], statisticsSince]],
  ['last analyze; null: none since', tables, ({ tables: [outbox], statisticsSince }) => [outbox['lastAnalyze'], statisticsSince]],
  ['outbox, pending', outbox, result => result.tables[0]['pending']],
  ['outbox, failed', outbox, result => result.tables[0]['failed']],
]

test.each(shown)('%s', async (_, probe, of) => {
  const purges = {
    outbox: purge.parse({ target: 'core', table: 'core.event_outbox', by: 'created_at', age: '7d', event: 'outbox_cleanup_completed' }),
  }
  const { result } = await lookOnce(probe, place.url, { entries: { purges } })
  expect(of(result as Result)).toEqual(expect.anything())
})
