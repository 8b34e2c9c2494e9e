import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@dbops/testing/until'
import neo4j from 'neo4j-driver'
import { afterAll, expect, test, vi } from 'vitest'
import { startNeo4j } from '../src/neo4j.ts'
import { parentOf, runs } from './processes.ts'

const place = mkdtempSync(join(tmpdir(), 'servers-test-'))
// A JVM takes its time where several compete for two cores.
vi.setConfig({ testTimeout: 180_000 })
afterAll(() => rmSync(place, { recursive: true, force: true }))

test('a kept home keeps its nodes and its password over a restart', async () => {
  const home = join(place, 'kept')
  const first = await startNeo4j({ home })
  await query(first.url, 'CREATE (:Kept {n: 42})')
  await first.stop()
  const second = await startNeo4j({ home })
  try {
    expect([runs(first.pid), await query(second.url, 'MATCH (k:Kept) RETURN toString(k.n) AS n')]).toEqual([false, [{ n: '42' }]])
  } finally {
    await second.stop()
  }
})

test('when its parent is killed, the server and its folder go too', async () => {
  const parent = await parentOf('startNeo4j', { auth: false, heap: '256m' })
  const [row] = await query(parent.url, `SHOW SETTINGS 'server.directories.neo4j_home' YIELD value`)
  const folder = row?.value as string
  expect(existsSync(folder)).toBe(true)
  parent.process.kill('SIGKILL')
  await until('the folder goes', () => !existsSync(folder), { within: 20_000 })
  expect(runs(parent.pid)).toBe(false)
})

test('a given URL is used as it is and not stopped; a wrong password is refused at once, before it locks the user out', async () => {
  const own = await startNeo4j({ auth: { password: '-chosen: %/@' } })
  try {
    const given = await startNeo4j({ url: own.url })
    await given.stop()
    const refused = await startNeo4j({ url: own.url.replace(/:[^:@]+@/, ':guess@') }).catch((error: Error) => error.message)
    expect([given.source, await query(own.url, 'RETURN 1 AS n'), refused]).toEqual([
      'given',
      [{ n: 1 }],
      'Neo4j refuses: The client is unauthorized due to authentication failure.',
    ])
  } finally {
    await own.stop()
  }
})

async function query(url: string, cypher: string): Promise<Record<string, unknown>[]> {
  const { host, username, password } = new URL(url)
  const driver = neo4j.driver(`bolt://${host}`, username ? neo4j.auth.basic(username, decodeURIComponent(password)) : undefined, {
    disableLosslessIntegers: true,
  })
  try {
    return (await driver.executeQuery(cypher)).records.map(record => record.toObject())
  } finally {
    await driver.close()
  }
}
