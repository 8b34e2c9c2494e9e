// pg.purge: deletes the rows of a policy that are past their retention, in batches that the others on the server do not feel, and counts what is left.
import type { Purge } from '@dbops/contract/config-file'
import { Refused } from '@dbops/contract/failure'
import { nearMiss } from '@dbops/contract/names'
import { ref } from '@dbops/contract/task'
import { z } from 'zod'
import { ways } from '../purge/estimate.ts'
import { type PurgePlan, planPurge, showPlan } from '../purge/plan.ts'
import { purgeLeaves } from '../purge/purge.ts'
import { remaining } from '../purge/remaining.ts'
import { findSubject } from '../purge/subject.ts'
import { showTable } from '../table-name.ts'
import { defineTask } from '../task.ts'

const events = ['cleanup_completed', 'outbox_cleanup_completed'] as const
const time = z.iso.datetime()
const count = z.number().min(0)
const holder = z.strictObject({
  pid: z.int().nullable(),
  name: z.string(),
  role: z.string().nullable(),
  since: time.nullable(),
  state: z.string().nullable(),
})

/** What is stored and shown of a plan is less than what the run of the same attempt needs of it. */
const planned = new WeakMap<object, PurgePlan>()

export default defineTask({
  name: 'pg.purge',
  summary: 'Delete rows that are past their retention, in small governed batches',
  params: z.strictObject({ policy: ref('purges').describe('an entry of `purges`') }),
  result: z.strictObject({
    table: z.string(),
    cutOff: time,
    /** Over all attempts. The last two batches of an attempt that was killed may not be in it: their rows are gone, their number was not kept. */
    deleted: count,
    batches: z.int(),
    /** Of the table, or of the partition that holds most of what expired. */
    way: z.enum(ways),
    why: z.string(),
    /** Partitions that were emptied as a whole, and their rows as the statistics had them. */
    partitions: z.strictObject({ emptied: z.int(), rowsAbout: count }),
    /** Past the cut-off and still there after the second pass; `locked` of them somebody else holds. */
    left: count,
    locked: count,
    holders: z.array(holder),
    oldestKept: time.nullable(),
    /** Where an earlier attempt had come to. */
    resumedAt: z.strictObject({ pass: z.int(), next: z.string().nullable(), deleted: count }).nullable(),
    /** Of this attempt: ms of the longest batch, ms waited for the sake of others, and the batch after which the size had been found. */
    pace: z.strictObject({ longestMs: count, size: z.int(), settledAfter: z.int().nullable(), waited: z.record(z.string(), count) }),
    /** The oldest transaction that was under way when the last look at the first table began: what is younger was perhaps not seen. */
    seenBefore: z.string(),
  }),
  state: z.strictObject({
    table: z.int(),
    pass: z.int(),
    way: z.enum(ways),
    next: z.string().nullable(),
    deleted: count,
    batches: z.int(),
    emptied: z.int(),
    rowsAbout: count,
    left: count,
    locked: count,
  }),
  lane: 'heavy',
  // One purge per target at a time: policies of one table meet the same rows, and two of any tables the same disk.
  locks: { shared: ['target'], exclusive: ['purge'] },
  timeout: '30m',
  deadline: '2h',
  retry: 'resume',
  effect: 'delete',
  emits: { succeeded: events, failed: 'cleanup_failed' },

  async plan(c) {
    eventOf(c.entries.policy)
    const plan = await planPurge(c.pg, c.entries.policy, c.run.cutOff, c.state !== undefined, faults => c.found(faults))
    const shown = showPlan(plan)
    planned.set(shown, plan)
    return shown
  },

  async run(c) {
    const plan = planned.get(c.plan as object)!
    await c.found(plan.advice)
    const { place, pace, oldest, holders, resumedAt, seenBefore } = await purgeLeaves(c, plan)
    const most = plan.estimates.toSorted((a, b) => b.expired - a.expired)[0]
    c.as(eventOf(c.entries.policy))
    return {
      table: showTable(plan.subject.table),
      cutOff: plan.subject.cutOff.toISOString(),
      deleted: place.deleted,
      batches: place.batches,
      way: most?.way ?? 'none',
      why: most?.why ?? 'the table has no partitions',
      partitions: { emptied: place.emptied, rowsAbout: place.rowsAbout },
      left: place.left,
      locked: place.locked,
      holders: holders.map(({ since, ...who }) => ({ ...who, since: since?.toISOString() ?? null })),
      oldestKept: oldest?.toISOString() ?? null,
      resumedAt: resumedAt && { pass: resumedAt.pass, next: resumedAt.next, deleted: resumedAt.deleted },
      pace,
      seenBefore,
    }
  },

  async prove(c, facts) {
    const subject = await findSubject(c.pg, c.entries.policy, c.run.cutOff)
    const seen = await remaining(c, subject, facts.way === 'index' ? 'index' : 'blocks', facts.seenBefore)
    const evidence = { ...seen, table: facts.table, cutOff: facts.cutOff }
    const unheld = seen.left - seen.locked - seen.later
    if (unheld > 0)
      return {
        ok: false,
        reason: `${rows(unheld)} of ${facts.table} past the cut-off ${unheld === 1 ? 'is' : 'are'} held by nobody`,
        evidence,
      }
    const who = seen.holders.map(({ pid, name, role }) => `${pid ?? ''} "${name}" of ${role}`.trim()).join(', ')
    const held = seen.locked
      ? `; ${rows(seen.locked)} locked by others stay${seen.locked === 1 ? 's' : ''}: ask ${who || 'who has just let go'}`
      : ''
    const later = seen.later ? `; ${rows(seen.later)} came to be past it after the last look` : ''
    return { ok: true, reason: `no row of ${facts.table} that could be deleted is past the cut-off${held}${later}`, evidence }
  },
})

const rows = (count: number) => `${count.toLocaleString('en')} row${count === 1 ? '' : 's'}`

/** Refused: `bad_event`. */
function eventOf({ event = 'cleanup_completed' }: Purge): (typeof events)[number] {
  const known = events.find(known => known === event)
  if (known) return known
  throw new Refused(`pg.purge tells no event "${event}"`, {
    code: 'bad_event',
    hint: nearMiss(event, events) ?? `it tells ${events.join(' or ')}`,
  })
}
