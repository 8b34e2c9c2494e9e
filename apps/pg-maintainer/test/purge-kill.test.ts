// SIGKILL of the maintainer at random moments of a purge, with real processes: exactly the rows of the policy are gone, and the next attempt goes on where the killed one was.
// Three moments of a fixed seed; thirty with DBOPS_LONG=1.
import { ask } from '@dbops/ledger/commands'
import { find, type Run } from '@dbops/ledger/runs'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let line: Line
let target: Awaited<ReturnType<typeof freshDatabase>>
let db: Client
let maintainer: Process

beforeAll(async () => {
  target = await freshDatabase()
  db = new Client(target.url)
  await db.connect()
  line = await startLine(
    `targets: { core: { engine: pg, url: "\${CORE_URL}" } }
purges:
  blocks: { target: core, table: public.by_blocks, where: "status = 'PUBLISHED'", by: at, age: 7d, event: outbox_cleanup_completed }
  index: { target: core, table: public.by_index, where: "status = 'PUBLISHED'", by: at, age: 7d }
`,
    { CORE_URL: target.url },
  )
  await line.start('apps/scheduler/src/main.ts')
  // Each row takes a moment to go, so that there is a middle to be killed in.
  await db.query(`CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN OLD; END'`)
})
afterAll(async () => {
  await line?.close()
  await db?.end()
  await target?.drop()
})

const moments = randoms(20_260_601, process.env.DBOPS_LONG ? 30 : 3).map((random, index) => ({
  way: index % 2 ? 'index' : 'blocks',
  after: Math.round(random * 400),
}))

describe('SIGKILL of the maintainer', () => {
  test.each(moments)(
    '$after ms after the first batch, by $way',
    async ({ way, after }) => {
      await fill(way)
      const before = await rows(way)
      maintainer = await line.start('apps/pg-maintainer/src/main.ts')
      const id = await purge(way)
      const first = await until('a batch is kept', async () => [await kept(id)].find(({ deleted }) => deleted > 0), { every: 20 })
      await new Promise(resolve => setTimeout(resolve, after))
      maintainer.kill('SIGKILL')
      await maintainer.ended
      const last = await kept(id)
      maintainer = await line.start('apps/pg-maintainer/src/main.ts')
      const run = await ended(id)
      await maintainer.stop()
      const place = run.result?.['resumedAt'] as { next: string; deleted: number } | undefined
      expect([run.state, run.attempt, run.result, await rows(way), before.expired]).toMatchObject([
        'succeeded',
        2,
        { way, left: 0, resumedAt: { pass: last.pass, next: last.next, deleted: last.deleted } },
        { expired: 0, others: before.others, sum: before.sum },
        800,
      ])
      expect(place!.deleted).toBeGreaterThanOrEqual(first.deleted)
    },
    60_000,
  )
})

/** 800 expired rows of 40,000: side by side where an index leads to them, all over the table where none does. Every state and age is among the others. */
async function fill(way: string): Promise<void> {
  const isExpired = way === 'index' ? 'n BETWEEN 20001 AND 20800' : 'n % 50 = 0'
  await db.query(`DROP TABLE IF EXISTS public.by_${way}`)
  await db.query(`CREATE TABLE public.by_${way} (id int, status text, at timestamptz)`)
  await db.query(`
    INSERT INTO public.by_${way}
    SELECT n, CASE WHEN ${isExpired} OR n % 3 = 0 THEN 'PUBLISHED' WHEN n % 3 = 1 THEN 'PENDING' ELSE 'FAILED' END,
           CASE WHEN ${isExpired} THEN now() - interval '8 days' - n * interval '1 s'
                WHEN n % 3 = 0 THEN now() - interval '6 days'
                WHEN n % 7 > 0 THEN now() - interval '30 days' END
      FROM generate_series(1, 40000) n`)
  if (way === 'index') await db.query(`CREATE INDEX ON public.by_index (at) WHERE status = 'PUBLISHED'`)
  await db.query(`CREATE TRIGGER slow BEFORE DELETE ON public.by_${way} FOR EACH ROW EXECUTE FUNCTION public.slow()`)
}
async function rows(way: string): Promise<{ expired: number; others: number; sum: string }> {
  const expired = `status = 'PUBLISHED' AND at < now() - interval '7 days'`
  const result = await db.query<{ expired: number; others: number; sum: string }>(
    `SELECT count(*) FILTER (WHERE ${expired})::int AS expired, count(*) FILTER (WHERE (${expired}) IS NOT TRUE)::int AS others,
            sum(hashtext(t::text)) FILTER (WHERE (${expired}) IS NOT TRUE)::text AS sum
       FROM public.by_${way} t`,
  )
  return result.rows[0]!
}
async function purge(policy: string): Promise<string> {
  const answer = await ask(line.ledger, { verb: 'run', body: { task: 'pg.purge', params: { policy } }, actor: 'ada' })
  if (!answer.ok) throw new Error(JSON.stringify(answer))
  return answer.run
}
const kept = async (id: string): Promise<{ pass: number; next: string | null; deleted: number }> => {
  const [run] = await find(line.ledger, id)
  return { pass: 1, next: null, deleted: 0, ...run!.stateKept }
}
const final = new Set<string>(['succeeded', 'failed', 'cancelled', 'timed_out', 'refused'])
/** What is retried is retried after half a minute; the tests have no time for it. */
const ended = (id: string): Promise<Run> =>
  until(
    `run ${id} ends`,
    async () => {
      await line.ledger.query(`update runs set not_before = now() where id = $1 and state = 'queued'`, [id])
      const [found] = await find(line.ledger, id)
      if (!final.has(found!.state)) throw new Error(JSON.stringify([found!.state, found!.attempt, found!.waitingFor, found!.error]))
      return found
    },
    { within: 50_000, every: 100 },
  )

/** Numbers from 0 to 1 that are the same in every run (mulberry32). */
function randoms(seed: number, count: number): number[] {
  return Array.from({ length: count }, () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  })
}
