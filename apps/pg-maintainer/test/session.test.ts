// A maintenance session on a way that lies: half open, so that no error ever comes.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PgTarget } from '@dbops/contract/config-file'
import { targetUrl } from '@dbops/runtime/connection'
import { freshDatabase } from '@dbops/testing/database'
import { type Proxy, startProxy } from '@dbops/testing/proxy'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openSession, type ServerSession } from '../src/session.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let way: Proxy
let session: ServerSession
const lost: string[] = []
beforeEach(async () => {
  lost.length = 0
  database = await freshDatabase()
  way = await startProxy(database.url)
  session = await openSession(targetUrl('core', { engine: 'pg', url: way.url } as PgTarget), {
    name: 'dbops:test',
    answerDue: 300,
    onLost: error => void lost.push(error.message),
  })
})
afterEach(async () => {
  await session.end()
  await way.close()
  await database.drop()
})

test('an answer that does not come though the server has given it ends the session', async () => {
  const asked = session.query('SELECT pg_sleep(0.5)')
  await sleep(100)
  way.forget()
  await expect(asked).rejects.toThrow('the server has answered, and its answer did not come')
  expect(lost).toEqual(['the session is lost: the server has answered, and its answer did not come'])
})

test('an answer that the server takes its time for is waited for', async () => {
  const rows = await session.query<{ n: number }>('SELECT 1 AS n FROM pg_sleep(2)')
  expect([rows, lost]).toEqual([[{ n: 1 }], []])
})
