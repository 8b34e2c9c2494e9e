// pg.purge on real tables: exactly the rows of its policy by each of its ways, and whatever makes a purge delete too much, too little or nothing.
import { afterEach, describe, expect, test } from 'vitest'
import purge from '../src/tasks/purge.ts'
import { type Ground, ground, once } from './harness.ts'

const grounds: Ground[] = []
afterEach(async () => {
  for (const one of grounds.splice(0)) await one.drop()
})

const cutOff = new Date('2026-06-01T00:00:00Z')
/** So early that only a few rows in one block are past it. */
const early = new Date('2026-05-12T00:00:00Z')
// 1,000 rows, one a day up to the cut-off and as many after it; a third PUBLISHED, a third PENDING, a third FAILED; some never published.
const outbox = `
  CREATE SCHEMA core;
  CREATE TABLE core.outbox (id int PRIMARY KEY, status text NOT NULL, published_at timestamptz, note text DEFAULT repeat('x', 200));
  INSERT INTO core.outbox
    SELECT n, (ARRAY['PUBLISHED', 'PENDING', 'FAILED'])[n % 3 + 1], CASE WHEN n % 10 > 0 THEN timestamptz '2026-06-01Z' + (n - 500) * interval '1 hour' END
      FROM generate_series(1, 1000) n;
  ANALYZE core.outbox;`
const byIndex = `${outbox} CREATE INDEX outbox_published ON core.outbox (published_at) WHERE status = 'PUBLISHED';`
const made = async (setup = outbox) => {
  const one = await ground(setup)
  grounds.push(one)
  return one
}
const policy = (more: Record<string, unknown> = {}, at = cutOff) => ({
  params: { policy: 'outbox' },
  entries: {
    policy: { target: 'core', table: 'core.outbox', where: "status = 'PUBLISHED'", by: 'published_at', age: '7d', atMost: 95, ...more },
  },
  cutOff: at,
})
const published = `status = 'PUBLISHED' AND published_at < $1`
const counts = async (place: Ground, at = cutOff, expired = published, table = 'core.outbox') =>
  (
    await place.sql<{ expired: number; others: number }>(
      `SELECT count(*) FILTER (WHERE ${expired})::int AS expired, count(*) FILTER (WHERE (${expired}) IS NOT TRUE)::int AS others FROM ${table}`,
      [at],
    )
  )[0]!

describe('pg.purge', () => {
  test.each([
    ['blocks', outbox, cutOff],
    ['index', byIndex, early],
  ])('by %s: deletes exactly the rows of its policy that are past the cut-off, and proves it', async (way, setup, at) => {
    const place = await made(setup)
    const before = await counts(place, at)
    const { facts, proof } = await once(purge, place.url, policy({}, at))
    expect([before.expired > 0, facts, proof, await counts(place, at)]).toMatchObject([
      true,
      { deleted: before.expired, left: 0, locked: 0, way, cutOff: at.toISOString() },
      { ok: true },
      { expired: 0, others: before.others },
    ])
  })
})
