// pg.slow-statements on a real server: each execution is told once, however often and by whomever it is looked at.
import { pgTarget } from '@dbops/contract/config-file'
import { until } from '@dbops/testing/until'
import { afterAll, beforeAll, expect, test } from 'vitest'
import slowStatements from '../src/probes/slow-statements.ts'
import { readSlow } from '../src/statements/slow.ts'
import { type Ground, ground, type Looked, lookOnce } from './harness.ts'

let place: Ground
beforeAll(async () => void (place = await ground('CREATE SCHEMA core')))
afterAll(() => place.drop())

test('an execution is told once, with its statement cut and without its values, and counted for good', async () => {
  const running = await slow(`SELECT pg_sleep(30) /* tenant 4711 */, 'kim@example.kr', ${'repeat($$x$$, 1), '.repeat(40)} 1`)
  const first = await read()
  const second = await read(first)
  await running.end()
  expect([first.told.length, second.told.length, second.result['total'], second.result['perHour'], first.told[0]]).toEqual([
    1,
    0,
    1,
    1,
    {
      event: 'db_query_slow',
      operation: undefined,
      data: {
        duration_ms: expect.any(Number) as number,
        query: expect.stringMatching(/^SELECT pg_sleep\(\?\) , \?, (repeat\(\?, \?\), )+.*…$/) as string,
        params_count: 0,
        pid: running.pid,
        role: 'postgres',
        application: 'a test',
        source: 'sampling',
      },
    },
  ])
  expect((first.told[0]!.data['query'] as string).length).toBe(500)
})

test('what begins and ends between two looks of a reading is told with the time at which it was last seen', async () => {
  const reading = read(undefined, place.url, { slow: 300, samples: 12, pause: 100 })
  await place.sql('SELECT pg_sleep(0.7)')
  const { told, result } = await reading
  expect([told.map(({ data }) => (data['duration_ms'] as number) > 300), result['running']]).toEqual([[true], []])
})

test('the same statement again is another execution', async () => {
  const one = await slow('SELECT pg_sleep(30)')
  const first = await read()
  await one.end()
  const two = await slow('SELECT pg_sleep(30)')
  const second = await read(first)
  await two.end()
  expect([first.told.length, second.told.length, second.result['total']]).toEqual([1, 1, 2])
})

test('parameters are counted, and their values are not there to be told', async () => {
  const running = await slow('SELECT pg_sleep($1::int), $2::text', [30, 'kim@example.kr'])
  const { told } = await read()
  await running.end()
  expect(told.map(({ data }) => [data['params_count'], data['query']])).toEqual([[2, 'SELECT pg_sleep($1::int), $2::text']])
})

test('our own sessions and idle ones are not slow', async () => {
  const ours = await slow('SELECT pg_sleep(30)', [], 'dbops:beef0001:1:pg.vacuum')
  const idle = await place.client()
  await idle.query('BEGIN')
  await idle.query('SELECT 1')
  const { told } = await read()
  await ours.end()
  await idle.query('ROLLBACK')
  expect(told).toEqual([])
})

// Ten looks, a second apart.
test.runIf(process.env.DBOPS_LONG)('the target says what is slow', async () => {
  const running = await slow('SELECT pg_sleep(30)')
  const config = pgTarget.parse({ engine: 'pg', url: place.url, slow: '1m' })
  const { told } = await lookOnce(slowStatements, place.url, { config, signal: AbortSignal.timeout(30_000) })
  await running.end()
  expect(told).toEqual([])
})

test('of a flood, twenty are told and all are counted', async () => {
  const all = await Promise.all(Array.from({ length: 23 }, () => slow('SELECT pg_sleep(30)')))
  const { told, result } = await read()
  for (const one of all) await one.end()
  expect([told.length, result['total'], result['untold'], (result['newest'] as unknown[]).length]).toEqual([20, 23, 3, 10])
})

test('a role that may not see others says so in place of a number', async () => {
  const running = await slow('SELECT pg_sleep(30)')
  const role = await place.role()
  const { result } = await read(undefined, place.as(role))
  await running.end()
  expect([result['perHour'], result['reason']]).toEqual([null, expect.stringMatching(/^\d+ sessions cannot be seen: GRANT pg_monitor/)])
})

/** A reading with one look unless it says otherwise, as if `before` had been the last. */
function read(before?: Looked, url = place.url, how = { slow: 1_000, samples: 1, pause: 0 }): Promise<Looked> {
  const look = (c: Parameters<typeof slowStatements.look>[0]) => readSlow(c as unknown as Parameters<typeof readSlow>[0], how)
  return lookOnce({ ...slowStatements, look }, url, { last: before ? { at: new Date(), result: before.result } : null })
}

/** A statement that has been running for a second; `end` cancels it. */
async function slow(sql: string, values: unknown[] = [], name = 'a test') {
  const client = await place.client(name)
  const [{ pid }] = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows as [{ pid: number }]
  const ended = client.query(sql, values).catch(() => undefined)
  await until('it runs for a second', async () => {
    const [row] = await place.sql<{ slow: boolean }>(
      `SELECT state = 'active' AND clock_timestamp() - query_start > '1 s' AS slow FROM pg_stat_activity WHERE pid = ${pid}`,
    )
    return row?.slow
  })
  const end = async () => {
    await place.sql(`SELECT pg_cancel_backend(${pid})`)
    await ended
  }
  return { pid, end }
}
