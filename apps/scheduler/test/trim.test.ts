// The trimmer on a real stream: by age, never past a registered reader within its promise, and never in silence.
import { trimCommands } from '@dbops/ledger/commands'
import { saveFindings } from '@dbops/ledger/findings'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { saveTargets } from '@dbops/ledger/schedules'
import { ensureGroup, stream } from '@dbops/runtime/bus'
import { readConfig } from '@dbops/runtime/config'
import { openMetrics } from '@dbops/runtime/metrics'
import { memoryOf } from '@dbops/runtime/redis'
import { tellerOf } from '@dbops/runtime/run-events'
import type { Service } from '@dbops/runtime/service'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { freshDatabase } from '@dbops/testing/database'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { forgetTargets, trimStream } from '../src/trim.ts'

const day = 86_400_000
const start = Date.parse('2026-01-01T00:00:00Z')
let server: Server
let redis: Redis
let database: Awaited<ReturnType<typeof freshDatabase>>
let ledger: Ledger
beforeEach(async () => {
  server = await startRedis({ settings: { maxmemoryPolicy: 'noeviction' } })
  redis = new Redis(server.url)
  database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test', sessions: 2 })
  for (let d = 0; d < 20; d++) await redis.xadd(stream, `${start + d * day}-1`, 'ce', '{}')
  for (const group of ['alert-relay', 'reporting']) await ensureGroup(redis, group)
})
afterEach(async () => {
  redis.disconnect()
  await ledger.close()
  await database.drop()
  await server.stop()
})

test('commands go when they have been answered for long, and open ones never', async () => {
  const put = `insert into commands (id, verb, body, actor, created_at, answered_at, answer)
    values (gen_random_uuid(), 'run', '{}', $1, $2, $3, '{}')`
  for (const [actor, answered] of [
    ['old', start],
    ['young', start + day],
    ['open', null],
  ] as const)
    await ledger.query(put, [actor, new Date(start), answered === null ? null : new Date(answered)])
  const gone = await trimCommands(ledger, new Date(start + day))
  const { rows } = await ledger.query<{ actor: string }>('select actor from commands order by actor')
  expect([gone, rows]).toEqual([1, [{ actor: 'open' }, { actor: 'young' }]])
})

test('what all registered readers have read goes after seven days', async () => {
  await readBy('alert-relay', 20)
  await readBy('reporting', 20)
  await trimAt(20)
  expect(await oldestDay()).toBe(13)
})

test('what a reader has not acknowledged stays within its maxLag, and half of that is an alarm', async () => {
  await readBy('alert-relay', 20)
  await readBy('reporting', 8)
  await trimAt(20)
  expect([await oldestDay(), await told()]).toEqual([8, ['stream_group_lagging']])
})

test('pending entries count as not read', async () => {
  await readBy('alert-relay', 20)
  await readBy('reporting', 20, 9)
  await trimAt(20)
  expect(await oldestDay()).toBe(9)
})

test('past its maxLag a reader loses entries, and that is told as a loss', async () => {
  await readBy('alert-relay', 20)
  await trimAt(20)
  const { rows } = await ledger.query(
    `select ce -> 'data' -> 'evidence' ->> 'group' as group, ce -> 'data' -> 'evidence' ->> 'lost' as lost, ce -> 'data' -> 'evidence' ->> 'behind' as behind from outbox where event = 'redis_stream_data_loss'`,
  )
  expect([await oldestDay(), await told(), rows]).toEqual([
    13,
    ['stream_group_lagging', 'redis_stream_data_loss'],
    [{ group: 'reporting', lost: '13', behind: '20' }],
  ])
})

test('of what was given to a reader, only what it has not acknowledged counts as lost, thousands as well', async () => {
  for (let n = 0; n < 2_500; n++) void redis.xadd(stream, `${start + 19.5 * day + n}-1`, 'ce', '{}')
  await readBy('alert-relay', 3_000)
  await readBy('reporting', 2_000, 2)
  await redis.xack(stream, 'reporting', `${start + 5 * day}-1`)
  await trimAt(40)
  const { rows } = await ledger.query(
    `select (ce -> 'data' -> 'evidence' ->> 'lost')::int as lost from outbox where event = 'redis_stream_data_loss'`,
  )
  // Of 2,520 it has acknowledged the first two and one more.
  expect([rows, await redis.xlen(stream)]).toEqual([[{ lost: 2_517 }], 0])
})

test('while Redis runs out of memory only what a registered reader has still to read is kept', async () => {
  await readBy('alert-relay', 20)
  await readBy('reporting', 17)
  const { used } = await memoryOf(redis)
  await redis.config('SET', 'maxmemory', Math.round(used / 0.85))
  await trimAt(20)
  expect([await oldestDay(), await told()]).toEqual([17, []])
})

test('entries that were pending and are trimmed are told as lost once, not at every turn', async () => {
  await readBy('alert-relay', 20)
  await readBy('reporting', 20, 2)
  await trimAt(20)
  await trimAt(20)
  expect((await told()).filter(event => event === 'redis_stream_data_loss')).toHaveLength(1)
})

test('a reader that has caught up is told once as recovered, also by a scheduler that was started since', async () => {
  await readBy('alert-relay', 20)
  await readBy('reporting', 8)
  await trimAt(20)
  await readBy('reporting', 20)
  await trimAt(20)
  await trimAt(20)
  expect(await told()).toEqual(['stream_group_lagging', 'stream_group_recovered'])
})

test('a finding on a target that has left the configuration is told as gone, by the event that ends its alert', async () => {
  await saveTargets(ledger, [{ name: 'core', engine: 'pg', heavy: 2, light: 4, labels: {} }])
  const tells = { opened: 'db_pool_overflow', gone: 'db_pool_recovered' } as const
  await saveFindings(ledger, { target: 'core', source: 'pg.pools' }, [
    { key: 'overflow core', level: 'warning', what: 'it overflows', tells },
  ])
  await forgetTargets(service())
  const before = await told()
  await saveTargets(ledger, [])
  for (let turns = 0; turns < 2; turns++) await forgetTargets(service())
  const { rows } = await ledger.query(`select event, ce ->> 'subject' as subject, ce ->> 'operation' as operation from outbox`)
  expect([before, rows]).toEqual([[], [{ event: 'db_pool_recovered', subject: 'pg/core', operation: 'pg.pools:overflow core' }]])
})

const silent = { warn: () => undefined, error: () => undefined }
const service = () => {
  const config = readConfig(undefined, { text: 'streams: { groups: { reporting: { maxLag: 14d } } }' })
  return { config, ledger, metrics: openMetrics('scheduler'), log: silent, ...tellerOf('scheduler', 'dev') } as unknown as Service
}
const trimAt = (days: number) => trimStream(service(), redis, new Date(start + days * day))
/** Reads up to `count` entries, and acknowledges them but for what comes from `pendingFrom` on. */
async function readBy(group: string, count: number, pendingFrom = count): Promise<void> {
  const answer = (await redis.xreadgroup('GROUP', group, 'me', 'COUNT', count, 'STREAMS', stream, '>')) as
    | [string, [string, string[]][]][]
    | null
  for (const [id] of answer?.[0]?.[1] ?? []) if (Number(id.split('-')[0]) < start + pendingFrom * day) await redis.xack(stream, group, id)
}
const oldestDay = async () => (Number((await redis.xrange(stream, '-', '+', 'COUNT', 1))[0]![0].split('-')[0]) - start) / day
const told = async () => (await ledger.query<{ event: string }>('select event from outbox order by n')).rows.map(row => row.event)
