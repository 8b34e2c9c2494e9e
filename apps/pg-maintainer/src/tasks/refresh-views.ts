// pg.refresh-views: brings a group of materialized views up to date, all of one moment, and shows that the database has it.
import type { Window } from '@dbops/contract/config-file'
import { Later } from '@dbops/contract/failure'
import { ref } from '@dbops/contract/task'
import { isOpen, nextOpening } from '@dbops/contract/windows'
import { z } from 'zod'
import { namingBlocker } from '../locks/watch.ts'
import { listed } from '../relations.ts'
import { showTable } from '../table-name.ts'
import { defineTask } from '../task.ts'
import { inOrder } from '../views/order.ts'
import { lockTimeout, refreshTogether } from '../views/refresh.ts'
import { type View, viewsOf } from '../views/survey.ts'
import { verdictOf } from '../views/verdict.ts'
import { wayOf, ways } from '../views/way.ts'

const refreshed = z.strictObject({
  view: z.string(),
  oid: z.int(),
  way: z.enum(ways),
  seconds: z.number(),
  rowsBefore: z.number().nullable(),
  rowsAfter: z.number(),
  mark: z.string(),
})

export default defineTask({
  name: 'pg.refresh-views',
  summary: 'Refresh a group of materialized views in the order of their dependencies, in one transaction',
  params: z.strictObject({
    group: ref('views').describe('an entry of `views`'),
    allowDrop: z.boolean().default(false).describe('take the new rows although a view loses more than half of them'),
  }),
  result: z.strictObject({
    /** In the order in which they were refreshed. */
    views: z.array(refreshed),
    asOf: z.iso.datetime(),
    transaction: z.string(),
    tries: z.int(),
  }),
  lane: 'heavy',
  // Two refreshes of one view wait for each other on the server, and the second then does the first one's work again.
  locks: { shared: ['target'], exclusive: ['views:{group}'] },
  timeout: '1h',
  // Long enough for any window of the day to open.
  deadline: '25h',
  effect: 'write',
  emits: { succeeded: 'mv_refresh_completed', failed: 'mv_refresh_failed' },

  async plan(c) {
    const { members, window } = c.entries.group
    const views = inOrder(await viewsOf(c.pg, members))
    const names = new Map(views.map(view => [view.oid, showTable(view)]))
    return {
      views: views.map(view => ({
        view: showTable(view),
        way: wayOf(view),
        reads: view.uses.flatMap(oid => names.get(oid) ?? []),
        owner: view.owner,
        rows: view.rows,
        bytes: view.bytes,
      })),
      locks: locking(views),
      window: window ? { name: window.name, open: isOpen(window, window.zone, new Date()) } : null,
    }
  },

  async run(c) {
    const { members, window } = c.entries.group
    const views = inOrder(await viewsOf(c.pg, members))
    if (window) waitForWindow(window, locking(views))
    let at = ''
    const how = {
      signal: c.signal,
      guard: () => c.guard(),
      progress: (index: number, view: string) => c.progress(index, views.length, 'views', (at = view)),
      allowDrop: c.params.allowDrop,
    }
    const { asOf, ...done } = await namingBlocker(c.pg, { what: () => `${at}, or a table below it,`, lockTimeout }, () =>
      refreshTogether(c.pg, views, how),
    )
    c.progress(views.length, views.length, 'views')
    return { ...done, asOf: asOf.toISOString() }
  },

  async prove(c, facts) {
    const verdicts = await verdictOf(c.pg, facts)
    const bad = verdicts.filter(({ ok }) => !ok)
    return {
      ok: verdicts.length > 0 && !bad.length,
      reason: (bad.length ? bad : verdicts).map(({ reason }) => reason).join('; ') || 'no view was refreshed',
      evidence: { verdicts },
    }
  },
})

/** The views whose readers would have to wait. */
const locking = (views: readonly View[]) => views.filter(view => wayOf(view) === 'lock').map(showTable)

/** All of the group waits, since a part of it would not fit the rest. */
function waitForWindow(window: Window & { name: string; zone: string }, locked: string[]): void {
  const now = new Date()
  if (!locked.length || isOpen(window, window.zone, now)) return
  const opens = nextOpening(window, window.zone, now)
  throw new Later(
    `${listed(locked)} can only be refreshed with readers locked out, and window "${window.name}" opens ${opens.toISOString()}`,
    opens.getTime() - now.getTime(),
    {
      code: 'outside_window',
      hint: 'a unique index on plain columns lets it be refreshed beside its readers: CREATE UNIQUE INDEX ON view (columns)',
    },
  )
}
