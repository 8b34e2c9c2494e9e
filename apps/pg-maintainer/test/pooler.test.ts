// A real PgBouncer before the server: in transaction mode it is refused by name, in session mode it does no harm.
import { missing } from '@dbops/testing/missing'
import { startPgbouncer } from '@dbops/testing/pgbouncer'
import { afterAll, beforeAll, expect, test } from 'vitest'
import health from '../src/probes/health.ts'
import vacuum from '../src/tasks/vacuum.ts'
import { attempt, type Ground, ground, lookOnce } from './harness.ts'

const why = await missing('pgbouncer')
const withPgbouncer = test.skipIf(why)

let place: Ground
beforeAll(async () => void (place = await ground('CREATE SCHEMA core; CREATE TABLE core.cases (id int)')))
afterAll(() => place.drop())

withPgbouncer.each(['transaction', 'statement'] as const)(
  'a target behind a pooler in %s mode is refused before a statement of the task',
  async mode => {
    const pooler = await startPgbouncer(place.url, mode)
    try {
      const refused = await attempt(vacuum, pooler.url, { params: { tables: ['core.cases'] } }).catch((error: unknown) => error)
      const looked = await lookOnce(health, pooler.url).catch((error: unknown) => error)
      const words = {
        code: 'transaction_pooler',
        message: `${new URL(pooler.url).host}/${place.name} is a connection pooler that gives its sessions away between transactions, not the server`,
        hint: expect.stringMatching(/^give the target the server's own host and port/) as string,
      }
      expect([refused, looked]).toEqual([expect.objectContaining(words), expect.objectContaining(words)])
    } finally {
      await pooler.stop()
    }
  },
)

withPgbouncer('a pooler in session mode lets the very session through', async () => {
  const pooler = await startPgbouncer(place.url, 'session')
  try {
    const { result } = await lookOnce(health, pooler.url)
    expect(result['standby']).toBe(false)
  } finally {
    await pooler.stop()
  }
})
