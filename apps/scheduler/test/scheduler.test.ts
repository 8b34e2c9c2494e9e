// The scheduler as a process: it comes up, publishes what is in the outbox, and stops in order.

import { publish } from '@dbops/ledger/outbox'
import { ensureGroup, markKey, stream } from '@dbops/runtime/bus'
import { anEvent } from '@dbops/testing/an-event'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, expect, test } from 'vitest'

let line: Line
let redis: Redis
afterEach(async () => {
  redis?.disconnect()
  await line.close()
})

test('what is in the outbox comes to the stream once, in order', async () => {
  await begin()
  const ids = await tell(250)
  expect(await inStream(250)).toEqual(ids)
})

test('after a FLUSHALL every event that a registered group had not read is there again', async () => {
  await begin()
  const ids = await tell(5)
  await inStream(5)
  await redis.flushall()
  const later = await tell(1) // published between the FLUSHALL and its discovery
  await until('all events are in the new stream', async () => (await idsIn()).length >= 6)
  expect(new Set(await idsIn())).toEqual(new Set([...ids, ...later]))
})

test('what a group has acknowledged is not sent again', async () => {
  await begin()
  await tell(3)
  await inStream(3)
  for (const group of ['alert-relay', 'reporting']) await readAll(group)
  await until(
    'the positions are in the ledger',
    async () => (await line.ledger.query<{ ord: number }>('select ord from positions')).rows.filter(row => row.ord === 3).length === 3, // ours reads by itself
  )
  await redis.flushall()
  const later = await tell(1)
  await until('the new event is there', async () => (await idsIn()).length > 0)
  expect(await idsIn()).toEqual(later)
})

test('an orderly stop ends with 0 and takes the service out of the list', async () => {
  line = await startLine('')
  const scheduler = await line.start('apps/scheduler/src/main.ts')
  const code = await scheduler.stop()
  const { rows } = await line.ledger.query('select name from services')
  expect([code, rows]).toEqual([0, []])
})

test('an operations Redis that evicts makes the scheduler not ready, with the reason and the mend', async () => {
  line = await startLine('')
  redis = new Redis(line.redisUrl)
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru')
  await line.start('apps/scheduler/src/main.ts', { ready: false })
  const reasons = await until(
    'the service says why it is not ready',
    async () => {
      const { rows } = await line.ledger.query<{ ready: boolean; reasons: string[] }>('select ready, reasons from services')
      return rows[0] && !rows[0].ready && rows[0].reasons.some(r => r.includes('allkeys-lru')) ? rows[0].reasons : undefined
    },
    { within: 15_000 },
  )
  expect(reasons.join()).toMatch(/maxmemory-policy allkeys-lru.*set maxmemory-policy noeviction/)
})

async function begin() {
  line = await startLine('streams: { groups: { reporting: {} } }\n')
  redis = new Redis(line.redisUrl)
  await line.start('apps/scheduler/src/main.ts')
}
async function tell(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => uuidv7())
  await line.ledger.transaction(db =>
    publish(
      db,
      ids.map(id => anEvent({ id })),
    ),
  )
  return ids
}
const idsIn = async (): Promise<string[]> =>
  (await redis.xrange(stream, '-', '+')).map(([, fields]) => (JSON.parse(fields[1]!) as { id: string }).id)
async function inStream(count: number): Promise<string[]> {
  await until(`${count} events are in the stream`, async () => (await redis.xlen(stream)) >= count && (await redis.get(markKey)))
  await until(
    'the ledger knows that they are',
    async () => (await line.ledger.query<{ due: number }>('select count(*)::int as due from outbox where ord is null')).rows[0]!.due === 0,
  )
  return idsIn()
}
async function readAll(group: string) {
  await ensureGroup(redis, group)
  const answer = (await redis.xreadgroup('GROUP', group, 'me', 'COUNT', 1000, 'STREAMS', stream, '>')) as [string, [string, string[]][]][]
  for (const [id] of answer[0]![1]) await redis.xack(stream, group, id)
}
