// The program of docs/subscribe.md, as it stands there, against a real scheduler and a Redis that is emptied under it.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { publish } from '@dbops/ledger/outbox'
import { anEvent } from '@dbops/testing/an-event'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { v7 as uuidv7 } from 'uuid'
import { afterEach, beforeEach, expect, test } from 'vitest'

const stream = 'dbops:events'
let line: Line
let redis: Redis
beforeEach(async () => {
  line = await startLine('streams: { groups: { reporting: {} } }\n')
  redis = new Redis(line.redisUrl)
  await line.start('apps/scheduler/src/main.ts')
})
afterEach(async () => {
  redis?.disconnect()
  await line?.close()
})

test('it keeps every event, those from before its first start too', async () => {
  const before = await tell(3)
  await published()
  await subscribe()
  const after = await tell(2)
  expect(await keeps(5)).toEqual([...before, ...after].toSorted())
})

test('in a group that nobody registered it begins at the beginning as well', async () => {
  const before = await tell(2)
  await published()
  await subscribe('nobody-registered')
  expect(await keeps(2)).toEqual(before.toSorted())
})

test('a FLUSHALL while it is away, with events that it had not read, loses none', async () => {
  const reader = await subscribe()
  const read = await tell(3)
  await keeps(3)
  reader.kill('SIGKILL')
  await reader.ended
  const unread = await tell(3)
  await published()
  await redis.flushall()
  const later = await tell(2)
  await subscribe()
  expect(await keeps(8)).toEqual([...read, ...unread, ...later].toSorted())
})

test('a FLUSHALL while it waits for events loses none', async () => {
  const reader = await subscribe()
  const before = await tell(2)
  await keeps(2)
  await redis.flushall()
  const after = await tell(2)
  expect([await keeps(4), reader.isRunning()]).toEqual([[...before, ...after].toSorted(), true])
})

test('what was delivered to it and not acknowledged, it takes up again', async () => {
  const ids = await tell(2)
  await published()
  // As a predecessor of its name that died with them in hand.
  await redis.xreadgroup('GROUP', 'reporting', 'one', 'COUNT', 10, 'STREAMS', stream, '>')
  await subscribe()
  await keeps(2)
  await until('nothing is pending', async () => ((await redis.xpending(stream, 'reporting')) as [number])[0] === 0)
  expect(await keeps(2)).toEqual(ids.toSorted())
})

test('what was told while it stood still for longer than its read waits, it takes up when it goes on', async () => {
  const reader = await subscribe()
  await tell(1)
  const before = await keeps(1)
  reader.kill('SIGSTOP')
  const meanwhile = await tell(1)
  await published()
  await sleep(5_500)
  reader.kill('SIGCONT')
  expect(await keeps(2)).toEqual([...before, ...meanwhile].toSorted())
})

test('entries that are no events do not stop it', async () => {
  await subscribe()
  await published()
  await redis.xadd(stream, '*', 'ce', '{ "broken')
  await redis.xadd(stream, '*', 'other', 'field')
  await redis.xadd(stream, '*', 'ce', '{"id":"../../elsewhere"}')
  const ids = await tell(1)
  expect(await keeps(1)).toEqual(ids)
})

const folder = () => join(line.folder, 'events')
const subscribe = (group = 'reporting'): Promise<Process> =>
  line.start('docs/examples/subscribe.mjs', { env: { FOLDER: folder(), GROUP: group }, ready: false })

/** The ids of the kept events, once there are `count`. */
async function keeps(count: number): Promise<string[]> {
  const kept = () => readdirSync(folder()).flatMap(file => (file.endsWith('.json') ? [file.slice(0, -'.json'.length)] : []))
  await until(`${count} events are kept`, () => kept().length >= count, { within: 20_000 })
  return kept().toSorted()
}
const published = () =>
  until(
    'the outbox is empty',
    async () => (await line.ledger.query<{ due: number }>('select count(*)::int as due from outbox where ord is null')).rows[0]!.due === 0,
  )
async function tell(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => uuidv7())
  const events = ids.map(id => anEvent({ id }))
  await line.ledger.transaction(db => publish(db, events))
  return ids
}
