// The governor of a purge: how large a batch is and how long it waits, from what the server feels; and that it feels it.
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '@dbops/testing/until'
import { afterEach, describe, expect, test } from 'vitest'
import { type Felt, governor, ranges } from '../src/purge/governor.ts'
import { feelPulse, type Pulse } from '../src/purge/pulse.ts'
import purge from '../src/tasks/purge.ts'
import { attempt, carryOut, type Ground, ground } from './harness.ts'

const calm: Felt = { behind: 0, others: 0, lively: 0, connections: 0.1, replicaLag: null, archive: null }

describe('the size of a batch', () => {
  test.each([0.02, 0.5, 20])('is found within 10 batches where a block takes %d ms', msPerBlock => {
    const g = governor(ranges.blocks)
    const times = Array.from({ length: 10 }, () => {
      const took = g.size * msPerBlock
      g.after(took, calm)
      return took
    })
    const last = times.at(-1)!
    expect(last > 100 && last < 400 ? 'found' : g.size).toBe(msPerBlock === 0.02 ? ranges.blocks.most : 'found')
  })

  test.each<[string, Partial<Felt>, object]>([
    ['nobody else works', {}, { size: 400, pause: 0, why: 'free', stop: false }],
    ['others work', { others: 400 }, { size: 50, pause: 50, why: 'busy', stop: false }],
    ['others have just done something, and how much is not known yet', { others: null, lively: 3 }, { size: 50, pause: 50, why: 'busy' }],
    ['somebody waits for a row of ours', { behind: 1 }, { size: 50, pause: 250, why: 'waiters', stop: false }],
    ['connections are nearly all taken', { connections: 0.95 }, { size: 50, pause: 1_000, why: 'connections', stop: false }],
    ['a standby is behind in time', { replicaLag: { ms: 20_000, bytes: 0 } }, { size: 50, pause: 1_000, why: 'replica', stop: true }],
    ['a standby is behind in bytes', { replicaLag: { ms: null, bytes: 2 ** 30 } }, { size: 50, why: 'replica', stop: true }],
    ['the archive fails', { archive: { behind: 0, failing: true } }, { size: 50, why: 'archive', stop: true }],
    ['the archive is behind', { archive: { behind: 100, failing: false } }, { size: 50, why: 'archive', stop: true }],
    ['a standby keeps up', { replicaLag: { ms: 20, bytes: 1_000 } }, { why: 'free', stop: false }],
  ])('when %s', (_, felt, step) => {
    const g = governor({ start: 100, least: 1, most: 4_096 })
    expect(g.after(50, { ...calm, ...felt })).toMatchObject(step)
  })

  test('after a batch that the server ended it is a quarter; the smallest one has nothing to give', () => {
    const g = governor({ start: 8, least: 2, most: 64 })
    expect([g.tooLong(), g.tooLong()]).toMatchObject([{ size: 2, pause: 1_000, why: 'timeout' }, null])
  })
})

describe('on a server', () => {
  let place: Ground
  const open: AsyncDisposable[] = []
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]()
    await place.drop()
  })
  const pulseOf = async (worker: number): Promise<Pulse> => {
    const tried = await attempt(purge, place.url, { params: { policy: 'x' } })
    open.push({ [Symbol.asyncDispose]: () => tried.close() })
    const pulse = await feelPulse(tried.c.pg, worker)
    open.push(pulse)
    return pulse
  }

  test('the pulse feels a session that waits for a lock of the worker', async () => {
    place = await ground('CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)')
    const worker = await place.client('the worker')
    const [{ pid }] = (await worker.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows as [{ pid: number }]
    const pulse = await pulseOf(pid)
    const before = pulse.take().behind
    await worker.query('BEGIN; DELETE FROM t')
    const waiter = await place.client('a client')
    const waiting = waiter.query('UPDATE t SET id = 2').catch(() => undefined)
    await until('the waiter is felt', () => pulse.take().behind === 1)
    await worker.query('ROLLBACK')
    await waiting
    expect(before).toBe(0)
  })

  test('the pulse feels that others work, and that they do not', async () => {
    place = await ground()
    const pulse = await pulseOf(0)
    const client = await place.client('a client')
    const over = new AbortController()
    const working = (async () => {
      while (!over.signal.aborted) await client.query('SELECT 1')
    })()
    await until('others are felt', () => (pulse.take().others ?? 0) > 50)
    over.abort()
    await working
  })

  test('a purge lets whoever waits for its rows go first, and says that it waited', async () => {
    place = await ground(`
      CREATE SCHEMA core;
      CREATE TABLE core.outbox (id int PRIMARY KEY, published_at timestamptz, note text DEFAULT repeat('x', 500));
      INSERT INTO core.outbox SELECT n, '2020-01-01Z' FROM generate_series(1, 500) n;
      INSERT INTO core.outbox SELECT n, '2030-01-01Z' FROM generate_series(3001, 4000) n;
      CREATE FUNCTION core.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.002); RETURN OLD; END';
      CREATE TRIGGER slow BEFORE DELETE ON core.outbox FOR EACH ROW EXECUTE FUNCTION core.slow();`)
    const client = await place.client('a client')
    const over = new AbortController()
    // It wants the rows that go, one after the other: a batch that holds them makes it wait.
    const waiting = (async () => {
      while (!over.signal.aborted) {
        await client.query('SELECT FROM core.outbox WHERE id = (SELECT min(id) FROM core.outbox) FOR UPDATE')
        await sleep(1)
      }
    })()
    const tried = await attempt(purge, place.url, {
      params: { policy: 'x' },
      entries: { policy: { target: 'core', table: 'core.outbox', by: 'published_at', age: '7d', atMost: 95 } },
      cutOff: new Date('2026-01-01T00:00:00Z'),
    })
    const { facts, proof } = await carryOut(purge, tried)
    over.abort()
    await waiting
    await tried.close()
    expect([facts, proof.ok, (facts['pace'] as { waited: { waiters: number } }).waited.waiters > 0]).toMatchObject([
      { deleted: 500 },
      true,
      true,
    ])
  })
})
