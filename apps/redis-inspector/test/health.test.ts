// redis.health on real servers: what a reading says, and what it says when there is none.
import { redisTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { type RedisOptions, startRedis } from '@dbops/servers/redis'
import { aLook } from '@dbops/testing/a-look'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { afterEach, expect, inject, test } from 'vitest'
import type { z } from 'zod'
import health from '../src/probes/health.ts'
import { redis } from '../src/redis.ts'

type Target = z.input<typeof redisTarget>
const servers: Awaited<ReturnType<typeof startRedis>>[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map(server => server.stop()))
})

test('a reading of the platform Redis is whole, and names the policy that deletes streams', async () => {
  expect(await read({ url: inject('platformRedisUrl') })).toMatchObject({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    role: 'master',
    maxMemoryBytes: 64 * 2 ** 20,
    maxMemoryPolicy: 'allkeys-lru',
    persistence: { aof: false, aofOk: true, lastSaveOk: true },
    replication: { replicas: 0, linkUp: null, heardSecondsAgo: null },
  })
})

test('a server without a limit has null as its limit, not 0', async () => {
  const { url } = await start()
  expect((await read({ url })).maxMemoryBytes).toBeNull()
})

test('keys that the server evicted are counted', async () => {
  const { url } = await start({ settings: { maxmemory: '3mb', maxmemoryPolicy: 'allkeys-lru' } })
  const client = new Redis(url)
  for (let n = 0; n < 500; n++) await client.set(`cache:${n}`, 'x'.repeat(10_000))
  client.disconnect()
  expect((await read({ url })).evictedKeys).toBeGreaterThan(0)
})

test('a replica without its primary is a good reading with a link that is down', async () => {
  const { url } = await start({ settings: { replicaof: '127.0.0.1 1' } })
  expect(await read({ url })).toMatchObject({ role: 'slave', replication: { linkUp: false, heardSecondsAgo: null } })
})

test('a password beside the URL wins over the one in it', async () => {
  const { url } = await start()
  const { password, host } = new URL(url)
  expect(await read({ url: `redis://:wrong@${host}`, password })).toMatchObject({ role: 'master' })
})

test('a wrong password is told as such, with what to correct', async () => {
  const { url } = await start()
  const { host } = new URL(url)
  expect(await failureOfRead({ url: `redis://:wrong@${host}` })).toEqual({
    code: 'WRONGPASS',
    message: `${host} cannot be reached: WRONGPASS invalid username-password pair or user is disabled.`,
    hint: 'the user or the password is wrong: correct the secret of the target',
  })
})

test('no password where one is wanted is told as such', async () => {
  const { url } = await start()
  expect((await failureOfRead({ url: `redis://${new URL(url).host}` })).code).toBe('NOAUTH')
})

test('a server that is not there is told with its host and port', async () => {
  expect(await failureOfRead({ url: 'redis://127.0.0.1:1' })).toEqual({
    code: 'ECONNREFUSED',
    message: '127.0.0.1:1 cannot be reached: connect ECONNREFUSED 127.0.0.1:1',
    hint: 'is the server running there?',
  })
})

test('a frozen server keeps nobody longer than the reading may take', async () => {
  const server = await start()
  process.kill(server.pid!, 'SIGSTOP')
  try {
    const begun = performance.now()
    const { message } = await failureOfRead({ url: server.url }, AbortSignal.timeout(500))
    expect([message, performance.now() - begun < 2_000]).toEqual(['The operation was aborted due to timeout', true])
  } finally {
    process.kill(server.pid!, 'SIGCONT')
  }
})

test('the session of a reading bears its name, and is gone with it', async () => {
  const client = new Redis(inject('platformRedisUrl'))
  const names = async () => /name=dbops:names:probe:redis\.health /.test((await client.client('LIST')) as string)
  const session = await redis.look(
    target({ url: inject('platformRedisUrl') }),
    'dbops:names:probe:redis.health',
    AbortSignal.timeout(5_000),
  )
  const during = await names()
  await session.close()
  await until('the session to be gone', async () => !(await names()))
  client.disconnect()
  expect(during).toBe(true)
})

async function start(options: RedisOptions = {}) {
  const server = await startRedis(options)
  servers.push(server)
  return server
}

const target = (config: Omit<Target, 'engine'>) => ({
  name: 'platform',
  environment: 'test',
  config: redisTarget.parse({ engine: 'redis', ...config }),
})

/** One reading, as the runner takes it. */
async function read(config: Omit<Target, 'engine'>, signal = AbortSignal.timeout(5_000)) {
  const session = await redis.look(target(config), 'dbops:test:probe:redis.health', signal)
  try {
    return health.result.parse(await health.look({ ...aLook('platform', target(config).config, signal), ...session.verbs }))
  } finally {
    await session.close()
  }
}

const failureOfRead = (config: Omit<Target, 'engine'>, signal?: AbortSignal) =>
  read(config, signal).then(
    seen => Promise.reject(new Error(`it answered: ${JSON.stringify(seen)}`)),
    (error: unknown) => failureOf(error),
  )
