// A purge of a table of 50 million rows: however large it is, no transaction is longer than one batch. Minutes long, so with DBOPS_LONG=1 only.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import purge from '../src/tasks/purge.ts'
import { attempt, carryOut, ground } from './harness.ts'

const rows = 50_000_000
const longestTransaction = `
  SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS seconds
    FROM pg_stat_activity WHERE application_name LIKE '%:pg.purge' AND datname = current_database()`

describe.runIf(process.env.DBOPS_LONG)('a table of 50 million rows', () => {
  test('never has more than one batch in a transaction, and exactly the expired fifth goes', async () => {
    const place = await ground(`
        CREATE SCHEMA core;
        CREATE UNLOGGED TABLE core.log (at timestamptz) WITH (autovacuum_enabled = off);
        INSERT INTO core.log
          SELECT CASE WHEN n % 5 = 0 THEN timestamptz '2020-01-01Z' ELSE timestamptz '2030-01-01Z' END FROM generate_series(1, ${rows}) n;`)
    const tried = await attempt(purge, place.url, {
      params: { policy: 'log' },
      entries: { policy: { target: 'core', table: 'core.log', by: 'at', age: '30d', atMost: 95 } },
      cutOff: new Date('2026-01-01T00:00:00Z'),
    })
    const watcher = await place.client('the watcher')
    const over = new AbortController()
    let longest = 0
    const watching = (async () => {
      while (!over.signal.aborted) {
        const [seen] = (await watcher.query<{ seconds: number }>(longestTransaction)).rows as [{ seconds: number }]
        longest = Math.max(longest, seen.seconds)
        await sleep(50)
      }
    })()
    const batches: number[] = []
    const { facts, proof } = await carryOut(purge, {
      c: { ...tried.c, save: state => Promise.resolve(void batches.push((state as { deleted: number }).deleted)) },
    })
    over.abort()
    await watching
    const [left] = await place.sql(`SELECT count(*)::int AS all, count(*) FILTER (WHERE at < '2026-01-01Z')::int AS expired FROM core.log`)
    const largest = Math.max(...batches.map((deleted, index) => deleted - (batches[index - 1] ?? 0)))
    console.log(JSON.stringify({ longest, largest, ...facts }))
    await tried.close()
    await place.drop()
    // A block holds 226 such rows, a fifth of them expired, and a batch has at most 4,096 blocks.
    expect([proof.ok, left, largest <= 4_096 * 46, longest < 10]).toEqual([true, { all: (rows / 5) * 4, expired: 0 }, true, true])
  }, 1_200_000)
})
