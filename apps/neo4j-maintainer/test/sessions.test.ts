// Sessions of attempts: named in the server, ended by their names, locked against a second installation, and of no use once their anchor is gone.
import { failureOf } from '@dbops/contract/failure'
import { startNeo4j } from '@dbops/servers/neo4j'
import { until } from '@dbops/testing/until'
import neo4j from 'neo4j-driver'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { neo4jDriver } from '../src/neo4j.ts'
import { admin, place, target } from './target.ts'

const marks = `SHOW TRANSACTIONS YIELD metaData WHERE metaData.dbops IS NOT NULL RETURN metaData.dbops AS mark ORDER BY mark`
const connections = `CALL dbms.listConnections() YIELD userAgent WITH userAgent WHERE userAgent STARTS WITH 'dbops:' RETURN userAgent`

let server: Awaited<ReturnType<typeof startNeo4j>>
const closes: (() => Promise<void>)[] = []
beforeAll(async () => {
  server = await startNeo4j()
})
afterEach(async () => {
  await Promise.all(closes.splice(0).map(close => close()))
})
afterAll(() => server?.stop())

test('evict ends every session of the dead fences and of no other', async () => {
  for (const name of ['dbops:one:7:neo4j.a', 'dbops:one:77:neo4j.a', 'dbops:two:7:neo4j.a']) await opened(name)
  await evict(7, 8)
  expect(await seen()).toEqual(['one:77:neo4j.a', 'two:7:neo4j.a'])
})

test('what an evicted session had begun is rolled back, and it begins nothing more', async () => {
  const { verbs } = await opened('dbops:one:20:neo4j.a')
  // Long enough to be in the middle of it.
  const writing = verbs.neo4j.write(`UNWIND range(1, 3000000) AS n CREATE (:Evicted {n: n})`).then(() => undefined, failureOf)
  await until(
    'the write to run',
    async () =>
      (
        await admin<{ n: number }>(
          server.url,
          `SHOW TRANSACTIONS YIELD currentQuery WHERE currentQuery CONTAINS 'CREATE (:Evicted' RETURN 1 AS n`,
        )
      ).length > 1,
  )
  await evict(20)
  const first = await writing
  const second = await verbs.neo4j.write(`CREATE (:Evicted)`).then(() => undefined, failureOf)
  const [left] = await admin<{ n: number }>(server.url, `MATCH (e:Evicted) RETURN count(e) AS n`)
  expect([first !== undefined, second?.code, left!.n]).toEqual([true, 'connection_lost', 0])
})

test('a client that hangs, and so never hears that it was ended, keeps nothing open', async () => {
  const { url, auth } = place(server.url)
  const hung = neo4j.driver(url, auth, { userAgent: 'dbops:one:25:neo4j.a' })
  await hung.session().beginTransaction({ metadata: { dbops: 'one:25:neo4j.a' } })
  await evict(25)
  const left = await seen()
  await hung.close()
  expect(left).toEqual([])
})

test('a session that somebody ends tells its attempt within seconds', async () => {
  const lost: Error[] = []
  await opened('dbops:one:30:neo4j.a', [], error => lost.push(error))
  await evict(30)
  await until('the attempt to be told', () => lost.length)
  expect(lost.map(failureOf)).toMatchObject([{ code: 'connection_lost' }])
})

test('a session that is closed leaves neither transaction nor connection, and is not lost', async () => {
  const lost: Error[] = []
  const { close } = await opened('dbops:one:40:neo4j.a', [], error => lost.push(error))
  await close()
  expect([await seen(), await admin(server.url, connections), lost]).toEqual([[], [], []])
})

test('a second installation finds a lock taken where the two exclude each other, and only there', async () => {
  const target = { shared: { name: 'target', exclusive: false }, exclusive: { name: 'target', exclusive: true } }
  await opened('dbops:one:50:neo4j.a', [target.shared])
  const answers = []
  for (const [name, lock] of [
    ['dbops:two:51:neo4j.a', target.shared],
    ['dbops:two:52:neo4j.a', target.exclusive],
    ['dbops:two:53:neo4j.a', { name: 'other', exclusive: true }],
    ['dbops:one:54:neo4j.a', target.exclusive], // of the same installation, whose ledger keeps its locks
  ] as const) {
    const session = await open(name, [lock])
    if (session !== 'locked') await session.close()
    answers.push(session === 'locked' ? 'locked' : 'open')
  }
  expect([answers, await seen()]).toEqual([['open', 'locked', 'open', 'open'], ['one:50:neo4j.a']])
})

test('no statement is sent before the guard has agreed', async () => {
  const refused = open(
    'dbops:one:60:neo4j.a',
    [],
    () => undefined,
    () => Promise.reject(new Error('superseded')),
  )
  await expect(refused).rejects.toThrow('superseded')
})

const seen = async () => (await admin<{ mark: string }>(server.url, marks)).map(({ mark }) => mark)

const evict = (...fences: number[]) =>
  neo4jDriver.evict(target({ url: server.url }), fences, 'one', 'dbops:one:99:neo4j.a', AbortSignal.timeout(20_000))

const open = (
  name: string,
  locks: { name: string; exclusive: boolean }[] = [],
  onLost: (error: Error) => void = () => undefined,
  guard = () => Promise.resolve(),
) => neo4jDriver.open(target({ url: server.url }), { name, locks, signal: AbortSignal.timeout(60_000), guard, onLost })

async function opened(...[name, locks, onLost]: Parameters<typeof open>) {
  const session = await open(name, locks, onLost)
  if (session === 'locked') throw new Error(`${name} is locked out`)
  closes.push(() => session.close())
  return session
}
