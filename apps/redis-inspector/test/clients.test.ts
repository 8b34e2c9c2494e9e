// redis.clients and redis.latency on real servers: who is counted as whom, who is behind, and what a pause is told as.
import { redisTarget } from '@dbops/contract/config-file'
import type { Fault } from '@dbops/contract/task'
import { startRedis } from '@dbops/servers/redis'
import { aLook } from '@dbops/testing/a-look'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import clients from '../src/probes/clients.ts'
import latency from '../src/probes/latency.ts'
import { redis as driver } from '../src/redis.ts'

const ended: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ended.splice(0).toReversed()) await end()
})
async function aServer(settings: Record<string, string> = {}) {
  const server = await startRedis({ settings })
  ended.push(() => server.stop())
  return server
}
function connect(url: string, connectionName?: string): Redis {
  const client = new Redis(url, { ...(connectionName ? { connectionName } : {}), disableClientInfo: true })
  client.on('error', () => undefined)
  ended.push(() => client.disconnect())
  return client
}
async function look(probe: typeof clients, url: string, last: unknown = null) {
  const signal = AbortSignal.timeout(20_000)
  const config = redisTarget.parse({ engine: 'redis', url })
  const session = await driver.look({ name: 'platform', environment: 'test', config }, `dbops:test:probe:${probe.name}`, signal)
  const faults: Fault[] = []
  try {
    const result = await probe.look({
      ...aLook('platform', config, signal),
      ...session.verbs,
      last: last as never,
      find: fault => void faults.push(fault),
    })
    return {
      result: probe.result.parse(result),
      words: faults.map(({ level, key, what }) => `${level} ${key}: ${what}`),
    }
  } finally {
    await session.close()
  }
}

test('connections are counted by the names that applications give themselves, and by user', async () => {
  const { url } = await aServer()
  const pool = Array.from({ length: 5 }, () => connect(url, 'core-api'))
  const worker = connect(url, 'vision-worker')
  const nobody = connect(url)
  await Promise.all([...pool, worker, nobody].map(client => client.ping()))
  void worker.blpop('nothing', 0).catch(() => undefined)
  await nobody.call('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@all')
  const other = new URL(url)
  Object.assign(other, { username: 'reader', password: 'secret' })
  await connect(other.href, 'core-api').ping()
  const blocked = async () => (await look(clients, url)).result
  const seen = await until('the worker blocks', async () => {
    const one = await blocked()
    return one['blocked'] === 1 ? one : undefined
  })
  const all = seen['applications'] as { name: string | null; user: string; connections: number; hosts: number; idle: number }[]
  expect(
    all
      .map(({ name, user, connections, hosts, idle }) => [name, user, connections, hosts, idle])
      .toSorted((a, b) => String(a).localeCompare(String(b))),
  ).toEqual(
    [
      ['core-api', 'default', 5, 1, 0],
      ['core-api', 'reader', 1, 1, 0],
      ['dbops', 'default', 1, 1, 0],
      ['vision-worker', 'default', 1, 1, 0],
      [null, 'default', 1, 1, 0],
    ].toSorted((a, b) => String(a).localeCompare(String(b))),
  )
  expect([seen['connections'], seen['limit']]).toEqual([9, 10_000])
})

test('a server whose connections are nearly all taken is told, with how many there may be', async () => {
  const { url } = await aServer({ maxclients: '20' })
  const all = Array.from({ length: 17 }, () => connect(url, 'core-api'))
  await Promise.all(all.map(client => client.ping()))
  expect((await look(clients, url)).words).toEqual(['warning limit: 18 of 20 connections are taken'])
})

test('one that does not read what it asked for is told by its name', async () => {
  const { url } = await aServer({ 'client-output-buffer-limit': 'normal 0 0 0' })
  const slow = connect(url, 'export-job')
  await slow.set('big', 'x'.repeat(8 * 2 ** 20))
  slow.stream.pause()
  for (let n = 0; n < 8; n++) void slow.get('big').catch(() => undefined)
  await until('its answers pile up', async () => (await look(clients, url)).words.length)
  expect((await look(clients, url)).words).toEqual([
    expect.stringMatching(
      /^warning behind export-job: export-job from 127\.0\.0\.1 leaves \d+\.\d MiB of answers unread: it is memory of the server$/,
    ),
  ])
})

test('a pause that the server noted is told once, by its kind; without its monitor there are round trips alone', async () => {
  const { url } = await aServer({ 'enable-debug-command': 'local' })
  const admin = connect(url)
  const before = await look(latency, url)
  await admin.call('CONFIG', 'SET', 'latency-monitor-threshold', '100')
  await admin.call('DEBUG', 'SLEEP', '0.3')
  const last = { at: new Date(Date.now() - 5_000), result: before.result }
  const during = await look(latency, url, last)
  const later = await look(latency, url, { at: new Date(Date.now() + 60_000), result: during.result })
  expect([before.result['events'], before.words, during.words, later.words]).toEqual([
    [],
    [],
    [expect.stringMatching(/^warning command: command kept the server for 3\d\d ms, and nobody else was served$/)],
    [],
  ])
  const { p50, max } = before.result['pingMs'] as { p50: number; max: number }
  expect([p50 > 0, max >= p50]).toEqual([true, true])
})

test('a pause is met by the round trips, whoever does not note it', async () => {
  const { url } = await aServer({ 'enable-debug-command': 'local' })
  const admin = connect(url)
  await admin.ping()
  const looking = look(latency, url)
  await until('it looks', async () => /name=dbops:test:probe:redis\.latency .*cmd=ping/.test(String(await admin.call('CLIENT', 'LIST'))))
  await admin.call('DEBUG', 'SLEEP', '0.5')
  const { max } = (await looking).result['pingMs'] as { p50: number; max: number }
  expect(max).toBeGreaterThan(200)
})

test('a user that may not ask for its pauses has the round trips, and null', async () => {
  const { url } = await aServer()
  await connect(url).call('ACL', 'SETUSER', 'looker', 'on', '>secret', '-@all', '+ping', '+client|setname')
  const limited = new URL(url)
  Object.assign(limited, { username: 'looker', password: 'secret' })
  expect((await look(latency, limited.href)).result).toMatchObject({ events: null })
})
