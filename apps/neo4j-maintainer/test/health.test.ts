// neo4j.health on a real Community server: what a reading says, what it says when there is none, and that a wrong password shuts nobody out.

import { failureOf } from '@dbops/contract/failure'
import { startNeo4j } from '@dbops/servers/neo4j'
import { aLook } from '@dbops/testing/a-look'
import neo4j from 'neo4j-driver'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { neo4jDriver } from '../src/neo4j.ts'
import health from '../src/probes/health.ts'
import { admin, place, target } from './target.ts'

let server: Awaited<ReturnType<typeof startNeo4j>>
beforeAll(async () => {
  server = await startNeo4j()
})
afterAll(() => server?.stop())

test('a reading of a Community server is whole', async () => {
  await admin(server.url, `CREATE (:Table)-[:HAS_COLUMN]->(:Column), (:Table)`)
  const seen = await read({ url: server.url })
  const { heapUsedBytes, heapMaxBytes, uptimeSeconds, ...rest } = seen
  expect([heapUsedBytes > 2 ** 20, heapMaxBytes! > heapUsedBytes, uptimeSeconds > 1, rest]).toEqual([
    true,
    true,
    true,
    {
      version: expect.stringMatching(/^5\.26\.\d+$/),
      edition: 'community',
      databases: { neo4j: 'online', system: 'online' },
      nodes: 3,
      relationships: 1,
      transactions: 0,
      longestTransactionSeconds: 0,
    },
  ])
})

test('transactions of others are counted, our own are not', async () => {
  const driver = neo4j.driver(place(server.url).url, place(server.url).auth)
  await driver.session().beginTransaction()
  await driver.session().beginTransaction({ metadata: { dbops: 'one:1:neo4j.a' } })
  const { transactions } = await read({ url: server.url })
  await driver.close()
  expect(transactions).toBe(1)
})

test('a reading over neo4j:// is as good as one over bolt://', async () => {
  expect(await read({ url: server.url.replace('bolt://', 'neo4j://') })).toMatchObject({ edition: 'community' })
})

test('user and password beside the URL win over those in it', async () => {
  const { password, host } = new URL(server.url)
  expect(await read({ url: `bolt://nobody:wrong@${host}`, user: 'neo4j', password: decodeURIComponent(password) })).toMatchObject({
    edition: 'community',
  })
})

test('a wrong password is told as such, and a reader that goes on with it shuts nobody out', async () => {
  const { host } = new URL(server.url)
  const told = []
  for (let n = 0; n < 5; n++) told.push((await failureOfRead({ url: `bolt://neo4j:wrong-password@${host}` })).code)
  const withTheRightOne = await read({ url: server.url }).then(({ edition }) => edition)
  expect([new Set(told), withTheRightOne]).toEqual([new Set(['wrong_password']), 'community'])
})

test('a password that must be changed first is told as such', async () => {
  await admin(server.url, `CREATE USER fresh SET PASSWORD 'initial-password' CHANGE REQUIRED`)
  const { host } = new URL(server.url)
  expect((await failureOfRead({ url: `bolt://fresh:initial-password@${host}` })).code).toBe('password_expired')
})

test('a database that should serve and does not is a failure with its name and reason; a stopped one is none', async () => {
  // A Community server has no command that makes one; its rows are as SHOW DATABASES gives them.
  const states = [
    { name: 'neo4j', requestedStatus: 'online', currentStatus: 'offline', statusMessage: 'Store is corrupt' },
    { name: 'old', requestedStatus: 'offline', currentStatus: 'offline', statusMessage: '' },
  ]
  const verbs = { name: '', version: '', edition: '', read: () => Promise.resolve(states as never[]), write: () => Promise.resolve([]) }
  const told = await health
    .look({ ...aLook('graph', target({ url: server.url }).config, AbortSignal.timeout(1_000)), neo4j: verbs })
    .then(() => undefined, failureOf)
  expect(told).toMatchObject({ code: 'database_not_online', message: 'database "neo4j" is offline: Store is corrupt' })
})

test('a server that is not there is told with its host and port, and the cause alone', async () => {
  expect(await failureOfRead({ url: 'bolt://127.0.0.1:1' })).toEqual({
    code: 'ECONNREFUSED',
    message: '127.0.0.1:1 cannot be reached: connect ECONNREFUSED 127.0.0.1:1',
    hint: 'is the server running there, and does it speak TLS as the URL says (bolt:// or bolt+s://)?',
  })
})

test('a frozen server keeps nobody longer than the reading may take', async () => {
  process.kill(server.pid!, 'SIGSTOP')
  try {
    const begun = performance.now()
    const { message } = await failureOfRead({ url: server.url }, AbortSignal.timeout(500))
    expect([message, performance.now() - begun < 2_000]).toEqual(['The operation was aborted due to timeout', true])
  } finally {
    process.kill(server.pid!, 'SIGCONT')
  }
})

/** One reading, as the runner takes it. */
async function read(config: Parameters<typeof target>[0], signal = AbortSignal.timeout(15_000)) {
  const session = await neo4jDriver.look(target(config), 'dbops:test:probe:neo4j.health', signal)
  try {
    return health.result.parse(await health.look({ ...aLook('graph', target(config).config, signal), ...session.verbs })) as {
      edition: string
      heapUsedBytes: number
      heapMaxBytes: number | null
      uptimeSeconds: number
      transactions: number
    }
  } finally {
    await session.close()
  }
}

const failureOfRead = (config: Parameters<typeof target>[0], signal?: AbortSignal) =>
  read(config, signal).then(
    seen => Promise.reject(new Error(`it answered: ${JSON.stringify(seen)}`)),
    (error: unknown) => failureOf(error),
  )
