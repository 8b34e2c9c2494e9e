// pg.views: how old the materialized views of the configured groups are, and what keeps them from being refreshed or read as they should.
import { parseDuration } from '@dbops/contract/duration'
import { z } from 'zod'
import { parseTable, showTable } from '../table-name.ts'
import { defineProbe } from '../task.ts'
import { openViews, staleness, strays, wrongNames, wrongViews } from '../views/faults.ts'
import { commitTimesOf, freshnessOf, freshnessSources, lastRefreshOf } from '../views/freshness.ts'
import { findMembers } from '../views/survey.ts'

const seen = z.strictObject({
  view: z.string(),
  populated: z.boolean(),
  /** Whether it can be refreshed beside its readers. */
  concurrently: z.boolean(),
  /** As of the last vacuum or analyze; null: neither came. */
  rows: z.number().nullable(),
  bytes: z.number(),
  mark: z.string(),
  refreshedAt: z.iso.datetime().nullable(),
  /** How that is known: our run, a change in the catalogue between two readings, or the server's commit times. */
  source: z.enum(freshnessSources).nullable(),
  ageSeconds: z.number().nullable(),
})

export default defineProbe({
  name: 'pg.views',
  summary: 'Materialized views of the configured groups: age of their rows, size, whether they can be read and refreshed',
  every: '60s',
  result: z.strictObject({
    groups: z.array(
      z.strictObject({
        group: z.string(),
        /** Since when it is looked at: what was never seen to be refreshed is at least that old. */
        since: z.iso.datetime(),
        /** Of its oldest view; null where one is not known. */
        ageSeconds: z.number().nullable(),
        maxAge: z.string().nullable(),
        views: z.array(seen),
      }),
    ),
  }),
  tells: ['finding_opened', 'finding_gone'],
  gauges: ({ groups }) => {
    const all = groups.flatMap(({ group, views }) => views.map(view => ({ labels: { group, view: view.view }, ...view })))
    return {
      mv_age_seconds: all.map(({ labels, ageSeconds }) => ({ labels, value: ageSeconds })),
      mv_max_age_seconds: groups.flatMap(({ group, maxAge }) =>
        maxAge === null ? [] : [{ labels: { group }, value: parseDuration(maxAge) / 1_000 }],
      ),
      mv_populated: all.map(({ labels, populated }) => ({ labels, value: populated ? 1 : 0 })),
      mv_size_bytes: all.map(({ labels, bytes }) => ({ labels, value: bytes })),
    }
  },
  async look(c) {
    const plan = Object.entries(c.entries.views)
    if (!plan.length) return { groups: [] }
    const now = new Date()
    const members = await findMembers(
      c.pg,
      plan.flatMap(([, group]) => group.members),
    )
    const commits = await commitTimesOf(c.pg, members.views)
    const groups = []
    for (const [group, { members: names, maxAge }] of plan) {
      const before = c.last?.result.groups.find(one => one.group === group)
      const run = await lastRefreshOf(c.ledger, group, c.target)
      const since = before?.since ?? now.toISOString()
      const listed = new Set(names.map(spelled))
      const own = members.views.filter(view => listed.has(showTable(view)))
      const views = own.map(view => {
        const name = showTable(view)
        const known = { run, commit: commits.get(view.oid) ?? null }
        const fresh = freshnessOf(
          known,
          view.mark,
          before?.views.find(one => one.view === name),
          now.toISOString(),
        )
        return {
          view: name,
          populated: view.populated,
          concurrently: view.populated && view.hasKey,
          rows: view.rows,
          bytes: view.bytes,
          mark: view.mark,
          ...fresh,
          ageSeconds: ageOf(fresh.refreshedAt, now),
        }
      })
      for (const fault of [...staleness(group, { maxAge }, views, since, now), ...openViews(group, own)]) c.find(fault)
      const ages = views.map(({ ageSeconds }) => ageSeconds)
      const ageSeconds = ages.length && !ages.includes(null) ? Math.max(...(ages as number[])) : null
      groups.push({ group, since, ageSeconds, maxAge: maxAge ?? null, views })
    }
    for (const fault of [...wrongNames(members), ...wrongViews(members.views), ...strays(members)]) c.find(fault)
    return { groups }
  },
})

/** Quotes where they are needed and nowhere else. */
const spelled = (name: string) => showTable(parseTable(name)!)

const ageOf = (at: string | null, now: Date) => (at === null ? null : Math.max(0, Math.round((now.getTime() - Date.parse(at)) / 1_000)))
