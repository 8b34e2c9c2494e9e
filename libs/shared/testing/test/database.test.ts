import { freshDatabase, templateDatabase } from '@dbops/testing/database'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { expect, inject, test } from 'vitest'

test('two fresh databases know nothing of each other', async () => {
  const [one, other] = await Promise.all([freshDatabase(), freshDatabase()])
  await query(one.url, 'CREATE TABLE only_here ()')
  expect(await query(other.url, `SELECT to_regclass('only_here') AS found`)).toEqual([{ found: null }])
  await Promise.all([one.drop(), other.drop()])
})

test('a template is built once, however many ask for it at once, and its rows are in every copy', async () => {
  let built = 0
  const ask = () =>
    templateDatabase('built_once', async url => {
      built++
      await query(url, 'CREATE TABLE number AS SELECT 42 AS n')
    })
  const [name] = await Promise.all([ask(), ask(), ask()])
  const copy = await freshDatabase({ template: name })
  expect([built, await query(copy.url, 'SELECT n FROM number')]).toEqual([1, [{ n: 42 }]])
  await copy.drop()
})

test('a template whose build failed is built again by the next who asks', async () => {
  await templateDatabase('second_try', () => Promise.reject(new Error('half way'))).catch(() => {})
  await templateDatabase('second_try', async url => void (await query(url, 'CREATE TABLE whole ()')))
  const copy = await freshDatabase({ template: 'second_try' })
  expect(await query(copy.url, `SELECT to_regclass('whole') AS found`)).toEqual([{ found: 'whole' }])
  await copy.drop()
})

test('a dropped database is gone, though somebody is still connected', async () => {
  const database = await freshDatabase()
  const guest = new Client({ connectionString: database.url })
  guest.on('error', () => {})
  await guest.connect()
  await database.drop()
  expect(await query(inject('pgUrl'), `SELECT FROM pg_database WHERE datname = '${database.name}'`)).toEqual([])
})

test('the operations Redis keeps everything, the platform evicts', async () => {
  const policies = await Promise.all([inject('redisUrl'), inject('platformRedisUrl')].map(policy))
  expect(policies).toEqual(['noeviction', 'allkeys-lru'])
})

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

async function policy(url: string): Promise<string | undefined> {
  const redis = new Redis(url)
  try {
    return ((await redis.config('GET', 'maxmemory-policy')) as string[])[1]
  } finally {
    redis.disconnect()
  }
}
