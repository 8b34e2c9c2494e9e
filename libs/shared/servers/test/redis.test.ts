import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { afterAll, expect, inject, test } from 'vitest'
import { startRedis } from '../src/redis.ts'
import { parentOf, runs } from './processes.ts'

const place = mkdtempSync(join(tmpdir(), 'servers-test-'))
afterAll(() => rmSync(place, { recursive: true, force: true }))

test('a server without a folder answers, and leaves neither process nor folder when it is stopped', async () => {
  const server = await startRedis()
  const folder = await setting(server.url, 'dir')
  await server.stop()
  expect([server.source, runs(server.pid), existsSync(folder)]).toEqual(['native', false, false])
})

test('directives are taken in camel case, with yes and no for true and false', async () => {
  const server = await startRedis({ settings: { maxmemoryPolicy: 'allkeys-lru', maxmemory: '32mb', appendonly: true } })
  try {
    const found = await Promise.all(['maxmemory-policy', 'maxmemory', 'appendonly', 'bind'].map(name => setting(server.url, name)))
    expect(found).toEqual(['allkeys-lru', '33554432', 'yes', '127.0.0.1'])
  } finally {
    await server.stop()
  }
})

test('it asks for a password, which no list of processes shows', async () => {
  const server = await startRedis()
  try {
    const { readFileSync } = await import('node:fs')
    const arguments_ = readFileSync(`/proc/${server.pid}/cmdline`, 'utf8')
    const stranger = await setting(server.url.replace(/:[^:@]+@/, ''), 'dir').catch((error: Error) => error.message)
    expect([stranger, arguments_.includes(new URL(server.url).password)]).toEqual(['NOAUTH Authentication required.', false])
  } finally {
    await server.stop()
  }
})

test('a kept folder keeps its keys over a restart', async () => {
  const options = { dir: join(place, 'kept'), settings: { appendonly: true } }
  const first = await startRedis(options)
  await withRedis(first.url, redis => redis.set('kept', '42'))
  await first.stop()
  const second = await startRedis(options)
  try {
    expect(await withRedis(second.url, redis => redis.get('kept'))).toBe('42')
  } finally {
    await second.stop()
  }
})

test('when its parent is killed, the server and its folder go too', async () => {
  const parent = await parentOf('startRedis', {})
  const folder = await setting(parent.url, 'dir')
  parent.process.kill('SIGKILL')
  await until('the folder goes', () => !existsSync(folder))
  expect(runs(parent.pid)).toBe(false)
})

test('a folder that a living process serves is refused: two servers would spoil one append-only file', async () => {
  const dir = join(place, 'taken')
  const parent = await parentOf('startRedis', { dir })
  try {
    await expect(startRedis({ dir })).rejects.toThrow(`${dir} is in use by process ${parent.process.pid}`)
  } finally {
    parent.process.kill()
    await until('the server ends', () => !runs(parent.pid))
  }
})

test('a given URL is used as it is, and not stopped', async () => {
  const url = inject('redisUrl')
  const server = await startRedis({ url })
  await server.stop()
  expect([server.source, server.url, await withRedis(url, redis => redis.ping())]).toEqual(['given', url, 'PONG'])
})

test('a directive that Redis does not know is told in its own words, and nothing is left', async () => {
  await expect(startRedis({ settings: { nonsense: 1 } })).rejects.toThrow(/Redis ended while starting[\s\S]*nonsense 1/)
})

async function withRedis<T>(url: string, work: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { maxRetriesPerRequest: 0 })
  redis.on('error', () => {})
  try {
    return await work(redis)
  } finally {
    redis.disconnect()
  }
}

const setting = (url: string, name: string) => withRedis(url, async redis => ((await redis.config('GET', name)) as string[])[1] as string)
