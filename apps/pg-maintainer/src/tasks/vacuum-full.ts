// pg.vacuum-full: rewrites tables without their dead rows and free space, one after the other, each shut to everybody meanwhile; and shows that it was rewritten.
import type { PgTarget } from '@dbops/contract/config-file'
import { table } from '@dbops/contract/names'
import type { AnyContext } from '@dbops/contract/task'
import { z } from 'zod'
import { describeRoot } from '../locks/root.ts'
import { quoteTable, showTable } from '../table-name.ts'
import { defineTask, type PostgresVerbs } from '../task.ts'
import { describeHolder, factsOfHolders, holderFact, holdersOfFacts } from '../vacuum/holder.ts'
import { horizonHolders } from '../vacuum/horizon.ts'
import { notDone, skippedBy } from '../vacuum/skipped.ts'
import { locked, lockHolders } from '../vacuum-full/locked.ts'
import { watched } from '../vacuum-full/progress.ts'
import { room } from '../vacuum-full/room.ts'
import { type Bloated, forecastFrom, forecastOf, measure, sizeClass, survey } from '../vacuum-full/survey.ts'
import { judge } from '../vacuum-full/verdict.ts'

const rewritten = z.strictObject({
  table: z.string(),
  oid: z.int(),
  seconds: z.number(),
  /** How often its lock was asked for. */
  tries: z.int(),
  filenodeBefore: z.int(),
  bytesBefore: z.number(),
  bytesAfter: z.number(),
  deadBefore: z.number(),
  /** Who held the horizon when it began, the oldest first: their dead rows are copied too. */
  holders: z.array(holderFact).max(5),
})
type Rewritten = z.input<typeof rewritten>

/** Milliseconds by which the server ends the statement later than we do: should we be frozen, it still ends. */
const grace = 5_000
const setStatementTimeout = `SELECT set_config('statement_timeout', $1, false)`

export default defineTask({
  name: 'pg.vacuum-full',
  summary: 'Rewrite tables without dead rows and free space; each is shut to everybody meanwhile',
  params: z.strictObject({ tables: z.array(table).min(1).max(50).describe('a partitioned one by its partitions, each for itself') }),
  result: z.strictObject({ tables: z.array(rewritten) }),
  state: z.strictObject({ done: z.array(rewritten).max(50) }),
  approval: 'always',
  lane: 'heavy',
  locks: { shared: ['target'], exclusive: ['vacuum'] },
  timeout: '4h',
  // Operating hours and a night may lie between the approval and the work.
  deadline: '24h',
  // A lost attempt may go on in the server: a person looks before the tables are shut again.
  retry: 'never',
  effect: 'write', // maintenance: definitions stay as they are
  emits: { succeeded: 'vacuum_completed', failed: 'vacuum_failed' },

  async plan(c) {
    const tables = await survey(c.pg, c.params.tables)
    const done = new Map((c.state?.done ?? []).map(one => [one.oid, one.bytesBefore]))
    const todo = tables.filter(({ oid }) => !done.has(oid))
    const disk = await room(c.pg, todo, (c.target.config as PgTarget | null)?.disk, c.signal)
    const holders = await horizonHolders(c.pg, false, true)
    return {
      // What is rewritten already counts as it was: the plan of a later attempt is the same plan.
      decides: {
        lock: 'ACCESS EXCLUSIVE: nobody reads or writes a table while it is rewritten, one after the other',
        tables: tables.map(one => ({
          table: showTable(one),
          oid: one.oid,
          owner: one.owner,
          size: sizeClass(done.get(one.oid) ?? one.bytes),
        })),
      },
      forecast: { seconds: forecastOf(todo), from: forecastFrom },
      tables: await Promise.all(
        todo.map(async one => ({
          table: showTable(one),
          bytes: one.bytes,
          bytesAfter: one.bytesAfter,
          live: one.live,
          dead: one.dead,
          seconds: forecastOf([one]),
          alsoWait: one.dependents,
          lockedNowBy: (await lockHolders(c.pg, one.oid)).map(describeRoot),
        })),
      ),
      disk,
      keepDeadRows: holders.slice(0, 5).map(held => describeHolder(held).who),
    }
  },

  async run(c) {
    const done: Rewritten[] = [...(c.state?.done ?? [])]
    const all = await survey(c.pg, c.params.tables)
    for (const [index, one] of all.entries()) {
      if (done.some(({ oid }) => oid === one.oid)) continue
      const name = showTable(one)
      c.progress(index, all.length, 'tables', name)
      const holders = await horizonHolders(c.pg, false, true)
      await c.guard()
      if (c.run.permittedUntil)
        await c.pg.query(setStatementTimeout, [String(Math.max(1, c.run.permittedUntil.getTime() + grace - Date.now()))])
      const begun = performance.now()
      const tries = await rewrite(c, one)
      const [after] = await measure(c.pg, [one.oid])
      done.push({
        table: name,
        oid: one.oid,
        seconds: Math.round((performance.now() - begun) / 100) / 10,
        tries,
        filenodeBefore: one.filenode,
        bytesBefore: one.bytes,
        bytesAfter: after?.bytes ?? one.bytes,
        deadBefore: one.dead,
        holders: factsOfHolders(holders),
      })
      await c.save({ done })
    }
    c.progress(all.length, all.length, 'tables')
    return { tables: done }
  },

  async prove(c, facts) {
    const now = await measure(
      c.pg,
      facts.tables.map(({ oid }) => oid),
    )
    const verdicts = facts.tables.map(({ holders, ...fact }) =>
      judge({
        ...fact,
        now: now.find(({ oid }) => oid === fact.oid),
        holders: holdersOfFacts(holders),
      }),
    )
    const bad = verdicts.filter(({ ok }) => !ok)
    const told = bad.length ? bad : verdicts
    return {
      ok: verdicts.length > 0 && !bad.length,
      reason: told.map(({ reason, hint }) => (hint ? `${reason}. Hint: ${hint}` : reason)).join('; ') || 'no table was rewritten',
      evidence: { verdicts },
    }
  },
})

type Work = Pick<AnyContext & PostgresVerbs, 'pg' | 'signal' | 'log' | 'progress'>

/** Two statements: a lock that ANALYZE does not get must not have the table rewritten once more. Returns how often the lock was asked for. */
async function rewrite(c: Work, one: Bloated): Promise<number> {
  const table = { oid: one.oid, table: showTable(one) }
  const how = {
    signal: c.signal,
    told: (tries: number, holder: string) => c.log(`${table.table}: its lock was not to be had (try ${tries}): ${holder}`),
  }
  const execute = async (sql: string) => {
    const skipped = skippedBy(await c.pg.execute(sql), one)
    if (skipped.length) throw notDone('vacuum', skipped)
  }
  const tell = (scanned: number, total: number, phase: string) => c.progress(scanned, total, 'blocks', `${table.table}: ${phase}`)
  const tries = await locked(c.pg, table, () => watched(c.pg, one.oid, tell, () => execute(`VACUUM (FULL) ${quoteTable(one)}`)), how)
  await locked(c.pg, table, () => execute(`ANALYZE ${quoteTable(one)}`), how)
  return tries
}
