// Sessions of attempts: they are known by their names, end by them, and say so when they are lost.
import { redisTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { startRedis } from '@dbops/servers/redis'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { redis } from '../src/redis.ts'

let server: Awaited<ReturnType<typeof startRedis>>
let admin: Redis
const closes: (() => Promise<void>)[] = []
beforeAll(async () => {
  server = await startRedis()
  admin = new Redis(server.url)
})
afterEach(async () => {
  await Promise.all(closes.splice(0).map(close => close()))
})
afterAll(async () => {
  admin?.disconnect()
  await server?.stop()
})

test('evict ends every session of the dead fences and of no other', async () => {
  for (const name of ['dbops:one:7:redis.a', 'dbops:one:7:redis.b', 'dbops:one:77:redis.a', 'dbops:two:7:redis.a']) await open(name)
  await redis.evict(target(server.url), [7, 8], 'one', 'dbops:one:9:redis.a', AbortSignal.timeout(5_000))
  expect((await names()).filter(name => name !== 'dbops:one:9:redis.a')).toEqual(['dbops:one:77:redis.a', 'dbops:two:7:redis.a'])
})

test('a session that is ended by somebody tells its attempt, and answers nothing more', async () => {
  const lost: Error[] = []
  const { verbs } = await open('dbops:one:11:redis.a', error => lost.push(error))
  await redis.evict(target(server.url), [11], 'one', 'dbops:one:12:redis.a', AbortSignal.timeout(5_000))
  await until('the attempt to be told', () => lost.length)
  const after = await verbs.redis.command('PING').then(String, failureOf)
  expect([lost.map(failureOf), after]).toMatchObject([[{ code: 'connection_lost' }], { code: 'connection_lost' }])
})

test('a session that is closed is not lost', async () => {
  const lost: Error[] = []
  const { close } = await open('dbops:one:13:redis.a', error => lost.push(error))
  await close()
  await until('it to be gone', async () => !(await names()).includes('dbops:one:13:redis.a'))
  expect(lost).toEqual([])
})

test('no command is sent before the guard has agreed', async () => {
  const refused = redis.open(target(server.url), {
    name: 'dbops:one:14:redis.a',
    locks: [],
    signal: AbortSignal.timeout(5_000),
    guard: () => Promise.reject(new Error('superseded')),
    onLost: () => undefined,
  })
  await expect(refused).rejects.toThrow('superseded')
})

test('a user who may not end sessions is told which right is missing', async () => {
  await admin.call('ACL', 'SETUSER', 'inspector', 'on', '>secret', '-@all', '+ping', '+info', '+client|setname', '+client|list')
  await open('dbops:one:15:redis.a')
  const { host } = new URL(server.url)
  const told = await redis
    .evict(target(`redis://inspector:secret@${host}`), [15], 'one', 'dbops:one:16:redis.a', AbortSignal.timeout(5_000))
    .then(() => undefined, failureOf)
  expect(told).toMatchObject({ code: 'evict_denied', hint: 'ACL SETUSER <user of the target> +client|list +client|kill' })
})

const target = (url: string) => ({ name: 'platform', environment: 'test', config: redisTarget.parse({ engine: 'redis', url }) })

async function open(name: string, onLost: (error: Error) => void = () => undefined) {
  const session = await redis.open(target(server.url), {
    name,
    locks: [],
    signal: AbortSignal.timeout(60_000),
    guard: () => Promise.resolve(),
    onLost,
  })
  if (session === 'locked') throw new Error('there are no locks in Redis')
  closes.push(() => session.close())
  return session
}

const names = async () => [...((await admin.client('LIST')) as string).matchAll(/ name=(dbops:\S+)/g)].map(found => found[1]!).toSorted()
