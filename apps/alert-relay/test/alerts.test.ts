import { listAlerts, resolveByHand } from '@dbops/ledger/alerts'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { handleEvent } from '../src/handle-event.ts'
import { at, type Bench, event, openBench, rules } from './relay-bench.ts'

let bench: Bench
beforeAll(async () => {
  bench = await openBench()
})
beforeEach(() => bench.reset())
afterAll(() => bench.close())

describe('an episode', () => {
  test('opens with a failure and is told once', async () => {
    expect([await bench.hear({ at: '05:00' }), await bench.written()]).toEqual([['first'], ['ops firing 0']])
  })

  test('goes on with the next failure of the same operation, whatever its run', async () => {
    await bench.hear({ at: '05:00' })
    expect([await bench.hear({ at: '06:00' }), await bench.written()]).toEqual([['within_repeat_interval'], ['ops firing 0']])
  })

  test('is of one operation, one target and one rule', async () => {
    await bench.hear({ at: '05:00' })
    await bench.hear({ at: '05:00', operation: 'pg.dump:other' })
    await bench.hear({ at: '05:00', target: 'pg/other' })
    await bench.hear({ at: '05:00', event: 'run_failed' })
    expect((await listAlerts(bench.ledger, { limit: 10 })).length).toBe(4)
  })

  test('ends with the next success of the same operation, and the end is told', async () => {
    await bench.hear({ at: '05:00' })
    expect([await bench.hear({ at: '06:00', event: 'backup_completed' }), await bench.written()]).toEqual([
      ['resolved'],
      ['ops firing 0', 'ops resolved 0'],
    ])
  })

  test.each([
    ['another dump', { operation: 'pg.dump:other' }],
    ['the same dump of another target', { target: 'pg/other' }],
    ['another kind of work', { event: 'vacuum_completed' as const }],
  ])('is not ended by the success of %s', async (_, other) => {
    await bench.hear({ at: '05:00' })
    await bench.hear({ at: '06:00', event: 'backup_completed', ...other })
    expect((await listAlerts(bench.ledger, { limit: 10 })).map(alert => alert.state)).toEqual(['firing'])
  })

  test('is followed by a new one when it fails after its success', async () => {
    await bench.hear({ at: '05:00' })
    await bench.hear({ at: '06:00', event: 'backup_completed' })
    await bench.hear({ at: '06:30' })
    const episodes = await bench.ledger.query('select n, state from episodes order by n')
    expect([episodes.rows, await bench.written()]).toEqual([
      [
        { n: 1, state: 'resolved' },
        { n: 2, state: 'firing' },
      ],
      ['ops firing 0', 'ops resolved 0', 'ops firing 0'],
    ])
  })

  test('is not opened by a failure that is older than the last success', async () => {
    await bench.hear({ at: '06:00', event: 'backup_completed' })
    expect([await bench.hear({ at: '05:00' }, '06:01'), await bench.written()]).toEqual([['already_resolved'], []])
  })

  test('is not ended by a success that is older than its newest failure', async () => {
    await bench.hear({ at: '06:00' })
    await bench.hear({ at: '05:00', event: 'backup_completed' }, '06:01')
    expect((await listAlerts(bench.ledger, { limit: 10 })).map(alert => alert.state)).toEqual(['firing'])
  })

  test('begins with its oldest failure, though the newest was heard first', async () => {
    await bench.hear({ at: '06:00' })
    await bench.hear({ at: '05:00' }, '06:01')
    expect((await listAlerts(bench.ledger, { limit: 10 }))[0]!.since).toEqual(at('05:00'))
  })

  test.each(['run_lost', 'run_cancelled', 'run_refused', 'schedule_missed', 'catalog_mismatch'] as const)(
    'is not opened by %s',
    async name => {
      const lost = { ...event({ at: '05:00' }), type: `io.axiom.dbops.${name}.v1` }
      const reasons = await bench.ledger.transaction(db => handleEvent(db, lost, rules(), at('05:00')))
      expect([reasons, await listAlerts(bench.ledger, { limit: 10 })]).toEqual([[], []])
    },
  )

  test('is one, and told once, when two relays hear of two failures at the same time', async () => {
    await Promise.all([bench.hear({ at: '05:00' }), bench.hear({ at: '05:00' }), bench.hear({ at: '05:00' }), bench.hear({ at: '05:00' })])
    const { rows } = await bench.ledger.query('select n, failures from episodes')
    expect([rows, await bench.written()]).toEqual([[{ n: 1, failures: 4 }], ['ops firing 0']])
  })

  test('has its failure and its success in a row, however they meet', async () => {
    await Promise.all([bench.hear({ at: '05:00' }), bench.hear({ at: '06:00', event: 'backup_completed' }, '05:00')])
    expect(await listAlerts(bench.ledger, { state: 'firing', limit: 10 })).toEqual([])
  })

  test('leaves behind why it was told and why not', async () => {
    await bench.hear({ at: '05:00' })
    await bench.hear({ at: '05:01' })
    await bench.hear({ at: '05:02', event: 'backup_completed' })
    await bench.hear({ at: '05:01' }, '05:03')
    const { rows } = await bench.ledger.query<{ reason: string }>('select reason from decisions order by n')
    expect(rows.map(row => row.reason)).toEqual(['first', 'within_repeat_interval', 'resolved', 'already_resolved'])
  })
})

describe('a repeat', () => {
  test('is due when the interval of the route has passed', async () => {
    await bench.hear({ at: '05:00' })
    await settle('delivered')
    await bench.look('08:59')
    await bench.look('09:01')
    expect(await bench.written()).toEqual(['ops firing 0', 'ops firing 1'])
  })

  test('does not pile up while the last one is still on its way', async () => {
    await bench.hear({ at: '05:00' })
    expect([await bench.look('09:01'), await bench.written()]).toEqual([['still_pending'], ['ops firing 0']])
  })

  test('is tried after one that the receiver refused', async () => {
    await bench.hear({ at: '05:00' })
    await settle('failed')
    expect(await bench.look('09:01')).toEqual(['repeat'])
  })

  test('is over with the episode', async () => {
    await bench.hear({ at: '05:00' })
    await bench.hear({ at: '06:00', event: 'backup_completed' })
    await settle('delivered')
    expect(await bench.look('12:00')).toEqual([])
  })

  test('is looked at by one relay at a time', async () => {
    await bench.hear({ at: '05:00' })
    await settle('delivered')
    const looks = await Promise.all([bench.look('09:01'), bench.look('09:01'), bench.look('09:01')])
    expect(looks.flat()).toEqual(['repeat'])
  })
})

describe('what is held back', () => {
  const lost = { event: 'db_connection_failed', operation: 'pg.health' } as const

  test('is the rest of a target that does not answer', async () => {
    await bench.hear({ at: '05:00', ...lost })
    expect(await bench.hear({ at: '05:01' })).toEqual(['inhibited'])
  })

  test('is not the lost connection itself, nor another target', async () => {
    await bench.hear({ at: '05:00' })
    expect([await bench.hear({ at: '05:01', ...lost }), await bench.hear({ at: '05:02', target: 'pg/other' })]).toEqual([
      ['first'],
      ['first'],
    ])
  })

  test('is told when the target answers again and it still fires', async () => {
    await bench.hear({ at: '05:00', ...lost })
    await bench.hear({ at: '05:01' })
    await bench.hear({ at: '05:02', ...lost, event: 'db_connection_recovered' })
    expect(await bench.look('05:03')).toEqual(['first'])
  })

  test('is never told when it resolves before that, and neither is its end', async () => {
    await bench.hear({ at: '05:00', ...lost })
    await bench.hear({ at: '05:01' })
    expect(await bench.hear({ at: '05:02', event: 'backup_completed' })).toEqual(['never_told'])
  })

  test('is no end of what was told, though the target has gone since', async () => {
    await bench.hear({ at: '05:00' })
    await bench.hear({ at: '05:01', ...lost })
    expect(await bench.hear({ at: '05:02', event: 'backup_completed' })).toEqual(['resolved'])
  })

  test('is what is over the rate of a channel, until there is room', async () => {
    for (let n = 0; n < 31; n++) await bench.hear({ at: '05:00', operation: `pg.dump:d${n}` })
    const over = await bench.look('05:00:45')
    await settle('delivered')
    expect([over.filter(reason => reason === 'over_limit').length, (await bench.look('05:01:30')).filter(r => r === 'first')]).toEqual([
      1,
      ['first'],
    ])
  })

  test('is what no route wants', async () => {
    expect(await bench.hear({ at: '05:00' }, '05:00', rules({ channels: {}, routes: [] }))).toEqual(['no_route'])
  })
})

describe('an end by hand', () => {
  test('is told once, under a key of its own, to those who were told of the alarm', async () => {
    await bench.hear({ at: '05:00' })
    await settle('delivered')
    const id = await endByHand('05:01')
    await bench.look('05:02')
    await bench.look('09:30')
    const { rows } = await bench.ledger.query('select key from deliveries order by n')
    expect(rows).toEqual([{ key: `${id}:ops:firing:0` }, { key: `${id}:ops:resolved:0` }])
  })

  test('is told though no route has the alert any more, and says by whom', async () => {
    await bench.hear({ at: '05:00' })
    await endByHand('05:01')
    await bench.look('05:02', rules({ channels: {}, routes: [] }))
    const { rows } = await bench.ledger.query(
      `select payload -> 'alert' ->> 'endedBy' as by, payload ->> 'text' as text from deliveries where state = 'resolved'`,
    )
    expect(rows).toEqual([
      { by: 'anna', text: expect.stringContaining('ended by hand by anna. It was wrong since 2026-03-01 05:00 UTC, for 1m,') },
    ])
  })

  test('is told by one relay, however many look', async () => {
    await bench.hear({ at: '05:00' })
    await endByHand('05:01')
    const looks = await Promise.all([bench.look('05:02'), bench.look('05:02'), bench.look('05:02')])
    expect(looks.flat()).toEqual(['resolved'])
  })

  test('is told to nobody where nobody was told', async () => {
    await bench.hear({ at: '05:00' }, '05:00', rules({ channels: {}, routes: [] }))
    await endByHand('05:01')
    expect([await bench.look('05:02'), await bench.written()]).toEqual([['never_told'], []])
  })

  test('is followed by a new episode when the operation fails again, seen by the relay or not', async () => {
    await bench.hear({ at: '05:00' })
    await endByHand('05:01')
    await bench.hear({ at: '05:02' })
    await bench.look('05:03')
    const { rows } = await bench.ledger.query('select n, state, failures from episodes order by n')
    expect([rows, await bench.written()]).toEqual([
      [
        { n: 1, state: 'resolved', failures: 1 },
        { n: 2, state: 'firing', failures: 1 },
      ],
      ['ops firing 0', 'ops firing 0', 'ops resolved 0'],
    ])
  })

  test('is written down once with its actor, and does nothing to what has ended', async () => {
    await bench.hear({ at: '05:00' })
    const id = await endByHand('05:01')
    const again = await bench.ledger.transaction(db => resolveByHand(db, id, 'otto', at('05:02')))
    const { rows } = await bench.ledger.query('select actor, action, detail from audit where subject = $1', [id])
    expect([again, rows]).toEqual([
      false,
      [{ actor: 'anna', action: 'resolve', detail: { fingerprint: 'backup_failed test pg/core pg.dump:metadata' } }],
    ])
  })
})

test('the list of alerts has the keys that scripts rely on', async () => {
  await bench.hear({ at: '05:00' })
  await settle('delivered')
  const { rows } = await bench.ledger.query<{ id: string }>('select id from episodes')
  const { id } = rows[0]!
  expect(await listAlerts(bench.ledger, { state: 'firing', limit: 10 })).toEqual([
    {
      id,
      name: 'backup_failed',
      severity: 'critical',
      target: 'core',
      operation: 'pg.dump:metadata',
      state: 'firing',
      since: at('05:00'),
      endedBy: null,
      deliveries: [{ channel: 'ops', state: 'delivered', key: `${id}:ops:firing:0`, at: '2026-03-01T05:00:00.000Z' }],
    },
  ])
})

/** Anna ends the one episode that fires; returns its id. */
async function endByHand(now: string): Promise<string> {
  const { id } = (await listAlerts(bench.ledger, { state: 'firing', limit: 1 }))[0]!
  await bench.ledger.transaction(db => resolveByHand(db, id, 'anna', at(now)))
  return id
}

const settle = (status: 'delivered' | 'failed') => bench.ledger.query('update deliveries set status = $1', [status])
