// Receivers that answer anything: each delivery ends in bounded time with one of the words of a channel, and holds no answer in memory.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { Later, Permanent, Problem } from '@dbops/contract/failure'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { post } from '../src/post.ts'
import { retryAfter } from '../src/retry.ts'

const chunk = 'x'.repeat(64 * 1024)

test.each<[string, (socket: Socket) => unknown, object | 'taken']>([
  ['closes without a word', socket => socket.end(), { code: 'UND_ERR_SOCKET' }],
  ['resets', socket => socket.resetAndDestroy(), { code: 'ECONNRESET' }],
  [
    'answers no HTTP',
    socket => socket.end('SSH-2.0-OpenSSH_9.6\r\n'),
    { code: 'no_http', message: 'the receiver answered, but not in HTTP' },
  ],
  ['answers garbage headers', socket => socket.end('HTTP/1.1 200 OK\r\n\0\xff: \x01\r\n\r\n'), { code: 'no_http' }],
  ['answers headers without end', socket => drip(socket, `HTTP/1.1 200 OK\r\nx: ${chunk}`, chunk, 0), { code: 'UND_ERR_HEADERS_OVERFLOW' }],
  ['drips its headers', socket => drip(socket, 'HTTP/1.1 200 OK\r\n', 'x: y\r\n', 20), { code: 'timeout' }],
  ['answers 200 and a body without end', socket => drip(socket, 'HTTP/1.1 200 OK\r\n\r\n', chunk, 0), 'taken'],
  ['drips its body', socket => drip(socket, 'HTTP/1.1 204 OK\r\nconnection: close\r\n\r\n', 'x', 20), 'taken'],
  ['promises a gigabyte', socket => drip(socket, 'HTTP/1.1 500 No\r\ncontent-length: 1073741824\r\n\r\n', chunk, 0), { code: 'http_500' }],
  ['redirects', socket => socket.end('HTTP/1.1 307 Go\r\nlocation: file:///etc/passwd\r\n\r\n'), { name: 'Problem', code: 'http_307' }],
  ['answers 999', socket => socket.end('HTTP/1.1 999 What\r\n\r\n'), { name: 'Problem', code: 'http_999' }],
  ['answers 410 and wants to be asked again', socket => socket.end('HTTP/1.1 410 Gone\r\nretry-after: 1\r\n\r\n'), { name: 'Permanent' }],
  [
    'answers 429 with a nonsense date',
    socket => socket.end('HTTP/1.1 429 No\r\nretry-after: soon\r\n\r\n'),
    { name: 'Problem', code: 'http_429' },
  ],
  [
    'answers 429 with a negative number',
    socket => socket.end('HTTP/1.1 429 No\r\nretry-after: -5\r\n\r\n'),
    { name: 'Problem', code: 'http_429' },
  ],
  [
    'answers 503 with a number without end',
    socket => socket.end(`HTTP/1.1 503 No\r\nretry-after: ${'9'.repeat(400)}\r\n\r\n`),
    { name: 'Later', after: 86_400_000 },
  ],
])('a receiver that %s', async (_, answer, outcome) => {
  await using receiver = await answering(answer)
  const before = process.memoryUsage().rss
  const began = performance.now()
  const told = await post({ url: receiver.url, headers: {}, body: '{}', timeout: 500 }, never).then(
    () => 'taken',
    (error: unknown) => error,
  )
  expect(told).toEqual(outcome === 'taken' ? 'taken' : expect.objectContaining(outcome))
  expect(told === 'taken' || [Problem, Later, Permanent].some(kind => told instanceof kind)).toBe(true)
  expect([performance.now() - began < 2_000, process.memoryUsage().rss - before < 64 * 2 ** 20]).toEqual([true, true])
})

test('Retry-After of any text asks for nothing, or for a second to a day', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String), fc.date().map(String)), header => {
      const ms = retryAfter(header, new Date('2026-03-01T05:00:00Z'))
      return ms === undefined || (ms >= 1_000 && ms <= 86_400_000)
    }),
  )
})

const never = new AbortController().signal

/** Sends `head`, then `more` again and again, `pause` ms apart, as fast as it is read at 0. */
function drip(socket: Socket, head: string, more: string, pause: number) {
  socket.write(head)
  const next = () => {
    if (!socket.writable) return
    if (socket.write(more)) setTimeout(next, pause)
    else socket.once('drain', () => setTimeout(next, pause))
  }
  next()
}

async function answering(answer: (socket: Socket) => unknown) {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => answer(socket))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
