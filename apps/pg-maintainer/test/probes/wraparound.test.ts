// pg.wraparound: the thresholds as a function, and a real server on which a forgotten transaction keeps everything from being frozen.
import { startPostgres } from '@dbops/servers/postgres'
import type { Server } from '@dbops/servers/resolve'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import wraparound from '../../src/probes/wraparound.ts'
import { faultOf, severityOf } from '../../src/wraparound/fault.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

test.each([
  [200e6, null],
  [250e6, null],
  [250e6 + 1, 'warning'],
  [1.0e9, 'error'],
  [1.5e9, 'critical'],
  [2.1e9, 'critical'],
])('%i transactions, where freezing is forced from 200 million: %s', (age, level) => {
  expect(severityOf(age, 200e6)).toBe(level)
})

test('of multixacts the table is named that has the oldest', () => {
  const table = { schema: 'core', bytes: 8192 }
  const tables = [
    { ...table, name: 'a', xids: 9, multixacts: 1 },
    { ...table, name: 'b', xids: 1, multixacts: 9 },
  ]
  const old = { name: 'core', xids: 2e9, multixacts: 2e9 }
  const found = (['xids', 'multixacts'] as const).map(counter => faultOf(old, counter, 200e6, tables, []))
  expect(found.map(fault => `${fault?.level} ${fault?.key}: ${fault?.sql}`)).toEqual([
    'critical xids core: VACUUM (FREEZE) "core"."a"',
    'critical multixacts core: VACUUM (FREEZE) "core"."b"',
  ])
})

describe('a server that is forced to freeze from 100,000 on', () => {
  let server: Server
  let place: Ground
  beforeAll(async () => {
    server = await startPostgres({
      settings: { autovacuum_freeze_max_age: '100000', max_prepared_transactions: '5', synchronous_commit: 'off' },
    })
    place = await ground('CREATE SCHEMA core; CREATE TABLE core.t (id int)', {
      url: server.url,
      name: 'postgres',
      drop: () => Promise.resolve(),
    })
  })
  afterAll(async () => {
    await place.drop()
    await server.stop()
  })

  test('and is not asked to: no finding', async () => {
    const { faults, result } = await lookOnce(wraparound, server.url)
    expect([faults, result.freezeMaxAge]).toMatchObject([[], { xids: 100_000 }])
  })

  test('and cannot, for a prepared transaction that nobody finishes: every database is found, with who holds it and what ends it', async () => {
    await place.sql(`BEGIN; INSERT INTO core.t VALUES (1); PREPARE TRANSACTION 'forgotten'`)
    // Each of these transactions takes a number of its own.
    await place.sql(`
      CREATE PROCEDURE core.burn(n int) LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)
    await place.sql('CALL core.burn(126000)')
    const { faults, result } = await lookOnce(wraparound, server.url)
    expect(faults.map(({ key, level }) => `${level} ${key}`).toSorted()).toEqual([
      'warning xids postgres',
      'warning xids template0',
      'warning xids template1',
    ])
    expect(faults.find(({ key }) => key === 'xids postgres')).toMatchObject({
      hint: expect.stringContaining(`ROLLBACK PREPARED 'forgotten'`) as string,
      sql: `ROLLBACK PREPARED 'forgotten'`,
    })
    expect(result.holders).toMatchObject([{ who: expect.stringContaining('prepared transaction "forgotten"') as string }])
  })

  test('and can again when it is finished', async () => {
    await place.sql(`ROLLBACK PREPARED 'forgotten'`)
    await place.sql('VACUUM (FREEZE)')
    const { faults } = await lookOnce(wraparound, server.url)
    expect(faults.map(({ key }) => key)).not.toContain('xids postgres')
  })
})
