// The webhook sink: whom it believes, and what it remembers.
import { createHmac } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { type Sink, sign, startSink } from '../src/sink.ts'

const secret = 'a secret of this test'
const body = '{"event":"backup_failed"}'
let sink: Sink | undefined
afterEach(() => sink?.stop())

test('the signature is the one that the documents describe', () => {
  const at = new Date('2026-11-25T00:00:00Z')
  const expected = createHmac('sha256', secret).update(`1795564800.${body}`).digest('hex')
  expect(sign(secret, body, at)).toBe(`t=1795564800,v1=${expected}`)
})

test('a signed request is verified and answered with 204', async () => {
  sink = await startSink({ secret })
  const { status } = await post(sink, { signature: sign(secret, body, new Date()), key: 'k1' })
  expect({ status, ...seen(sink) }).toEqual({ status: 204, verified: true, reason: undefined, key: 'k1', duplicate: false, body })
})

test.each([
  ['of another secret', sign('another', body, new Date()), 'the signature is of another secret, time or body'],
  ['of another body', sign(secret, '{}', new Date()), 'the signature is of another secret, time or body'],
  [
    'with its time moved',
    sign(secret, body, minutesAgo(6)).replace(/t=\d+/, `t=${Math.floor(Date.now() / 1_000)}`),
    'the signature is of another secret, time or body',
  ],
  ['of six minutes ago', sign(secret, body, minutesAgo(6)), 'the signature is more than five minutes off'],
  ['of six minutes hence', sign(secret, body, minutesAgo(-6)), 'the signature is more than five minutes off'],
  ['that is none', 'v1=abc', 'no signature of the form t=<unix>,v1=<hex>'],
])('a signature %s is refused with 401', async (_, signature, reason) => {
  sink = await startSink({ secret })
  const { status } = await post(sink, { signature })
  expect({ status, ...seen(sink) }).toMatchObject({ status: 401, verified: false, reason })
})

test('a key that was accepted before is a duplicate', async () => {
  sink = await startSink({ secret })
  for (const key of ['k1', 'k2', 'k1']) await post(sink, { signature: sign(secret, body, new Date()), key })
  expect(sink.received.map(one => one.duplicate)).toEqual([false, false, true])
})

test('a key that was answered with an error is no duplicate the next time', async () => {
  sink = await startSink({ secret, answer: n => (n === 1 ? { status: 503, headers: { 'retry-after': '1' } } : { status: 204 }) })
  const answers = []
  for (let n = 0; n < 2; n++) answers.push((await post(sink, { signature: sign(secret, body, new Date()), key: 'k1' })).status)
  expect({ answers, duplicates: sink.received.map(one => one.duplicate) }).toEqual({ answers: [503, 204], duplicates: [false, false] })
})

test('a stopped sink refuses connections, and may be stopped again', async () => {
  sink = await startSink({ secret })
  await sink.stop()
  await sink.stop()
  await expect(post(sink, { signature: '' })).rejects.toThrow('fetch failed')
})

const post = ({ url }: Sink, { signature, key }: { signature: string; key?: string }) =>
  fetch(url, { method: 'POST', body, headers: { 'dbops-signature': signature, ...(key ? { 'idempotency-key': key } : {}) } })

function seen({ received }: Sink) {
  const { verified, reason, key, duplicate, body } = received.at(-1)!
  return { verified, reason, key, duplicate, body }
}

function minutesAgo(minutes: number): Date {
  return new Date(Date.now() - minutes * 60_000)
}
