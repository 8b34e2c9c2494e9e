import { channel as channelConfig } from '@dbops/contract/config-file'
import { closeDelivered, giveUpOn, postpone, takeDue } from '@dbops/ledger/deliveries'
import { openLog } from '@dbops/runtime/log'
import { type Answer, type Sink, startSink } from '@dbops/sample/sink'
import { until } from '@dbops/testing/until'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { deliverDue } from '../src/deliver.ts'
import { loadChannels } from '../src/load-channels.ts'
import type { Message } from '../src/message.ts'
import { type Bench, openBench } from './relay-bench.ts'

const channels = await loadChannels()
const log = openLog('alert-relay', 'test', 'silent')
const secret = 'shared-by-both'

let bench: Bench
let sink: Sink
let answer: (n: number) => Answer | Promise<Answer>
beforeAll(async () => {
  bench = await openBench()
})
afterAll(() => bench.close())
beforeEach(async () => {
  answer = () => ({ status: 204 })
  await bench.reset()
  sink = await startSink({ secret, answer: n => answer(n) })
  await bench.hear({ at: '05:00' })
  await dueNow()
})
afterEach(() => sink.stop())

test('what is due is sent with its key, and closed', async () => {
  expect([await deliver(), sink.received.map(({ key, verified }) => ({ key, verified })), await row('key', 'status', 'attempts')]).toEqual([
    ['delivered'],
    [{ key: expect.stringMatching(/:ops:firing:0$/), verified: true }],
    { key: sink.received[0]!.key, status: 'delivered', attempts: 1 },
  ])
})

test('what is delivered is not sent again', async () => {
  await deliver()
  await dueNow()
  expect([await deliver(), sink.received.length]).toEqual([[], 1])
})

test('several relays at once send each of many once', async () => {
  for (let n = 10; n < 50; n++) await bench.hear({ at: `05:${n}`, operation: `pg.dump:d${n}` })
  await dueNow()
  const relay = async () => {
    while ((await deliver()).length) continue
  }
  await Promise.all([relay(), relay(), relay(), relay()])
  expect([sink.received.length, sink.received.filter(({ duplicate }) => duplicate).length]).toEqual([41, 0])
})

test('a relay that dies between the send and its close leaves the same key to the next', async () => {
  await dieBeforeClose()
  await dueNow()
  await deliver()
  expect(sink.received.map(({ key, duplicate }) => ({ key, duplicate }))).toEqual([
    { key: sink.received[0]!.key, duplicate: false },
    { key: sink.received[0]!.key, duplicate: true },
  ])
})

test('what a relay holds is nobody else’s until it must be dead', async () => {
  await dieBeforeClose()
  expect(await deliver()).toEqual([])
})

test.each([
  ['500', () => ({ status: 500 }), 'http_500', 5, 10],
  ['a redirect', () => ({ status: 302, headers: { location: 'http://127.0.0.1:9/' } }), 'http_302', 5, 10],
  ['429 with Retry-After in seconds', () => ({ status: 429, headers: { 'retry-after': '77' } }), 'http_429', 77, 77],
  ['503 with Retry-After as a date', () => ({ status: 503, headers: { 'retry-after': inTwoMinutes() } }), 'http_503', 118, 120],
  ['a timeout', () => new Promise<Answer>(() => undefined), 'timeout', 5, 10],
])('%s is tried again later', async (_, answered, code, least, most) => {
  answer = answered
  const outcomes = await deliver({ timeout: '200ms' })
  const { status, wait, error } = await row<{ status: string; wait: number; error: string }>(
    'status',
    `extract(epoch from next_at - at)::float as wait`,
    `last_error ->> 'code' as error`,
  )
  expect([outcomes, status, error, wait >= least && wait <= most]).toEqual([['retried'], 'pending', code, true])
})

test('400 ends it at once', async () => {
  answer = () => ({ status: 400 })
  expect([await deliver(), await row('status', 'attempts', `last_error ->> 'code' as error`)]).toEqual([
    ['failed'],
    { status: 'failed', attempts: 1, error: 'http_400' },
  ])
})

test('a receiver that comes back gets it under the same key', async () => {
  answer = n => ({ status: n < 3 ? 503 : 204 })
  for (const _ of [1, 2, 3]) {
    await deliver()
    await dueNow()
  }
  expect([new Set(sink.received.map(({ key }) => key)).size, sink.received.length, await row('status')]).toEqual([
    1,
    3,
    { status: 'delivered' },
  ])
})

test('the body is the same at every attempt', async () => {
  answer = () => ({ status: 500 })
  await deliver()
  await dueNow()
  await deliver()
  expect(sink.received[1]!.body).toBe(sink.received[0]!.body)
})

test('the end is not told before the beginning', async () => {
  answer = () => ({ status: 500 })
  await deliver()
  await bench.hear({ at: '06:00', event: 'backup_completed' })
  await bench.ledger.query(`update deliveries set next_at = now() - interval '1 second' where state = 'resolved'`)
  const early = await deliver()
  answer = () => ({ status: 204 })
  await dueNow()
  await deliver()
  await deliver()
  expect([early, sink.received.map(({ body }) => JSON.parse(body).alert.state)]).toEqual([[], ['firing', 'firing', 'resolved']])
})

test('a sender that slept through its hold does not undo the delivery of the next', async () => {
  const [slept] = await takeNow()
  await dueNow()
  await deliver()
  await postpone(bench.ledger, slept!, new Date(), new Date(), { code: 'late', message: 'late' })
  expect(await row('status')).toEqual({ status: 'delivered' })
})

test('a delivery counts, though the next attempt has begun', async () => {
  const [slept] = await takeNow()
  await dueNow()
  await takeNow()
  await closeDelivered(bench.ledger, slept!.key, new Date())
  expect(await row('status')).toEqual({ status: 'delivered' })
})

test('a stop in the middle of a send makes it due at once for the next relay', async () => {
  const stop = new AbortController()
  answer = () => new Promise(() => stop.abort(new Error('stopped')))
  await deliver({}, stop.signal)
  answer = () => ({ status: 204 })
  expect(await deliver()).toEqual(['delivered'])
})

test('what hangs on one channel holds up no other', async () => {
  let letGo: (answer: Answer) => void = () => undefined
  answer = () => new Promise(resolve => (letGo = resolve))
  await bench.ledger.query(
    `insert into deliveries (key, episode, channel, state, nth, status, created_at, at, next_at, payload)
     select 'other', episode, 'log', state, nth, status, created_at, at, next_at, payload from deliveries`,
  )
  const hanging = deliver()
  const other = await deliverTo('log', { type: 'console' })
  await until('the send', () => sink.received.length === 1)
  letGo({ status: 204 })
  expect([other, await hanging]).toEqual([['delivered'], ['delivered']])
})

test('what nobody took for a day is given up', async () => {
  answer = () => ({ status: 500 })
  await deliver()
  await dueNow()
  const now = await bench.ledger.now()
  expect([await giveUpOn(bench.ledger, now, now), await row('status', `last_error ->> 'code' as error`)]).toEqual([
    ['ops'],
    { status: 'failed', error: 'http_500' },
  ])
})

const never = new AbortController().signal
const deliver = (more: object = {}, signal = never) => deliverTo('ops', { ...toSink(), ...more }, signal)
const toSink = () => ({ type: 'webhook', url: sink.url, secret })
function deliverTo(name: string, entry: object, signal = never) {
  const { channel, context } = bound(name, entry)
  return deliverDue(bench.ledger, channel, context, signal)
}
function bound(name: string, entry: object) {
  const config = channelConfig.parse(entry)
  return { channel: channels.get(config.type)!, context: { name, config, path: `alerts.channels.${name}`, log } }
}

// A second back: the ledger counts microseconds, a Date does not.
const dueNow = () => bench.ledger.query(`update deliveries set next_at = now() - interval '1 second'`)
async function takeNow() {
  const now = await bench.ledger.now()
  return takeDue(bench.ledger, 'ops', now, new Date(now.getTime() + 60_000), 8)
}

/** What a relay has done that is killed after its send: the row is taken, the receiver has the message, the row is open. */
async function dieBeforeClose() {
  const [due] = await takeNow()
  const { channel, context } = bound('ops', toSink())
  await channel.deliver(context, due!.payload as unknown as Message, never)
}

const row = async <Row extends object>(...columns: string[]) =>
  (await bench.ledger.query<Row>(`select ${columns.join(', ')} from deliveries where channel = 'ops' and state = 'firing'`)).rows[0]!
const inTwoMinutes = () => new Date(Date.now() + 120_000).toUTCString()
