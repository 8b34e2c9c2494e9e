// What is wrong with the views of a target, each with what would mend it.
import type { ViewGroup } from '@dbops/contract/config-file'
import { formatDuration, parseDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import { kinds, listed } from '../relations.ts'
import { quoteTable, showTable } from '../table-name.ts'
import { type Members, missingHint, type View } from './survey.ts'

/** A group that is older than it may be, by its oldest view. */
export function* staleness(
  group: string,
  { maxAge }: Pick<ViewGroup, 'maxAge'>,
  views: readonly { view: string; refreshedAt: string | null }[],
  since: string,
  now: Date,
): Generator<Fault> {
  if (maxAge === undefined || !views.length) return
  // What has never been seen to be refreshed is at least as old as our looking.
  const oldest = views.toSorted((a, b) => Date.parse(a.refreshedAt ?? since) - Date.parse(b.refreshedAt ?? since))[0]!
  const age = now.getTime() - Date.parse(oldest.refreshedAt ?? since)
  if (age <= parseDuration(maxAge)) return
  const when = oldest.refreshedAt
    ? `was last refreshed ${formatDuration(age)} ago`
    : `has not been refreshed for ${formatDuration(age)} at least`
  yield {
    key: `stale ${group}`,
    level: 'warning',
    what: `views ${group}: ${oldest.view} ${when}; maxAge is ${maxAge}`,
    hint: `why the last one failed, or none came: ./dbops runs --task pg.refresh-views; then ./dbops run pg.refresh-views --group ${group}`,
    evidence: { ...oldest, maxAge },
  }
}

/** Names of the configuration that lead to no materialized view. */
export function* wrongNames({ missing, odd, others }: Members): Generator<Fault> {
  for (const name of missing)
    yield {
      key: `missing ${name}`,
      level: 'error',
      what: `${name} is in views of the configuration and not in the database: its group cannot be refreshed`,
      hint: missingHint([name], others),
    }
  for (const { text, kind } of odd)
    yield {
      key: `kind ${text}`,
      level: 'error',
      what: `${text} is ${kinds[kind] ?? 'no materialized view'}: its group cannot be refreshed`,
      hint: 'take it out of views in the configuration',
    }
}

export function* wrongViews(views: readonly View[]): Generator<Fault> {
  for (const view of views) {
    const name = showTable(view)
    if (!view.populated)
      yield {
        key: `unpopulated ${name}`,
        level: 'warning',
        what: `${name} cannot be read: it was never filled`,
        hint: 'the next refresh of its group fills it',
        sql: `REFRESH MATERIALIZED VIEW ${quoteTable(view)}`,
      }
    if (!view.hasKey)
      yield {
        key: `key ${name}`,
        level: 'info',
        what: `${name} has no unique index that a refresh beside its readers could use: they are locked out until its group is done`,
        hint: `name the columns that tell its rows apart: CREATE UNIQUE INDEX CONCURRENTLY ON ${quoteTable(view)} (…); no WHERE, no expression`,
      }
    if (!view.ours)
      yield {
        key: `owner ${name}`,
        level: 'error',
        what: `${name} belongs to ${view.owner}, and our role may not refresh it`,
        hint: `make the role of this target a member of the owner: GRANT ${view.owner} TO …`,
      }
  }
}

/** A materialized view has no row level security of its own: who may read it reads what the tables below would hide. */
export function* openViews(group: string, views: readonly View[]): Generator<Fault> {
  const open = views.filter(({ guarded, readers }) => guarded.length && readers.length)
  if (!open.length) return
  const [readers, tables] = [open.flatMap(view => view.readers), open.flatMap(view => view.guarded)].map(all =>
    [...new Set(all)].toSorted(),
  )
  yield {
    key: `open ${group}`,
    level: 'warning',
    what: `views ${group}: ${listed(readers!)} may read ${listed(open.map(showTable))} whole, and row level security of ${listed(tables!)} below does not hold there`,
    hint: 'where rows of a tenant can be told from them, give the readers a plain view over it that filters, and take SELECT on the materialized one from them',
    evidence: { views: open.map(showTable), tables, readers },
  }
}

/** Materialized views beside those of the groups: nobody refreshes them, and what is joined from both is of two moments. */
export function* strays({ others }: Members): Generator<Fault> {
  for (const name of others)
    yield {
      key: `stray ${name}`,
      level: 'info',
      what: `${name} is in no group of views: nobody refreshes it`,
      hint: 'add it to the members of a group in the configuration, or leave it to whoever does',
    }
}
