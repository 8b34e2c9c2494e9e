// The users of deploy/redis/operations.acl against a real Redis: each has what its service needs and nothing of another's; what is taken from one is missed.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { apps } from '../src/config-owners.ts'
import { operationsCalls } from '../src/operations-rights.ts'
import { type RedisRights, rightsIn } from '../src/redis-rights.ts'

const services = apps.filter(app => app !== 'cli')
const rules = new Map(
  readFileSync(join(import.meta.dirname, '../../../../deploy/redis/operations.acl'), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('user '))
    .map(line => line.replace('>CHANGE-ME', '>of-a-test').split(' ').slice(1))
    .map(([name, ...words]) => [name!, words]),
)
const name = `rights-${process.pid}`
let admin: Redis

beforeAll(() => {
  admin = new Redis(inject('redisUrl'))
})
afterAll(async () => {
  await admin.call('ACL', 'DELUSER', name)
  admin.disconnect()
})

/** What is found when the user of `app` logs in, with `more` after the rules of the file. */
async function found(app: (typeof services)[number], ...more: string[]): Promise<RedisRights | undefined> {
  await admin.call('ACL', 'DELUSER', name)
  await admin.call('ACL', 'SETUSER', name, ...rules.get(app)!, ...more)
  const redis = new Redis(Object.assign(new URL(inject('redisUrl')), { username: name, password: 'of-a-test' }).href)
  const { needs, others } = operationsCalls(app)
  try {
    return await rightsIn(redis, needs, others)
  } finally {
    redis.disconnect()
  }
}

describe.each(services)('%s', app => {
  test('has what it needs, and nothing of another', async () => {
    expect(await found(app)).toEqual({ user: name, missing: [], excess: [] })
  })

  test('misses each thing that is taken from it', async () => {
    const calls = Object.entries(operationsCalls(app).needs)
    const missed = []
    for (const [words, [command, ...args]] of calls) {
      const taken = command === 'xgroup' || command === 'xinfo' ? `${command}|${args[0]!.toLowerCase()}` : command
      missed.push([words, (await found(app, `-${taken}`, 'clearselectors'))?.missing.includes(words)])
    }
    expect(missed).toEqual(calls.map(([words]) => [words, true]))
  })

  test('under a user that may do all is told what it could do without', async () => {
    const rights = await found(app, 'allkeys', '+@all')
    expect([rights?.missing, rights?.excess]).toEqual([[], Object.keys(operationsCalls(app).others)])
  })

  test('under a user that may not ask says nothing of its rights', async () => {
    expect(await found(app, '-acl')).toBeUndefined()
  })
})

test('keys that are another’s are missed too', async () => {
  expect((await found('pg-maintainer', 'resetkeys', '~{dbops}:redis-*'))?.missing).toContain('BZPOPMIN on {dbops}:pg-*')
})
