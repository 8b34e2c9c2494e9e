// How the ledger itself is: what grows in it and who trims that, what waits, how old its newest dump is.
import { describeLedger } from '@dbops/ledger/ledger'
import { backlog } from '@dbops/ledger/outbox'
import { appliedMigrations, leaseHolders, newestDumpOfThis, summedUp, tableSizes } from '@dbops/ledger/sizes'
import type { Context } from './command.ts'
import { past, stamp } from './moment.ts'
import { ago, shortId } from './print.ts'

/** For how long rows are kept, as docs/concepts.md says. What is not named here is small by its nature. */
const kept: Record<string, string> = {
  runs: '400 days, then summed up by day',
  history: 'with their run',
  run_logs: 'with their run; the newest 500 lines',
  run_summaries: 'for ever, a row per day and kind',
  outbox: '7 days, and until every registered reader has read',
  inbox: '30 days',
  commands: '90 days',
  findings: '90 days after they are gone',
  dead_letters: '90 days',
  episodes: '90 days after they end',
  deliveries: 'with their episode',
  decisions: '90 days',
  statements: 'those that are there, by their last reading',
  statement_texts: 'with their statement',
  statement_windows: '14 days',
  services: 'a day after they were heard of last',
  audit: 'for ever',
  artifacts: 'until the backup is deleted',
}

export async function ledgerStatus({ print, connect }: Context): Promise<void> {
  const { ledger, environment } = await connect()
  const [about, tables, migrations, summaries] = [
    await describeLedger(ledger),
    await tableSizes(ledger),
    await appliedMigrations(ledger),
    await summedUp(ledger),
  ]
  const [outbox, leases, dump, now] = [
    await backlog(ledger),
    await leaseHolders(ledger),
    await newestDumpOfThis(ledger),
    await ledger.now(),
  ]
  print.record({ ...about, migrations, tables, summaries, outbox, leases, dump: dump ?? null })
  if (print.json) return
  const newest = migrations.at(-1)!
  print.environment(environment)
  print.line(
    `PostgreSQL ${about.server}, ${about.bytes}; ${migrations.length} migrations, the newest ${newest.name} of ${stamp(newest.appliedAt)}`,
  )
  print.line(
    dump
      ? `its newest dump: ${shortId(dump.id)} (${dump.name}), ${past(dump.createdAt, now)}${dump.verdict ? `, restored: ${dump.verdict}` : ''}`
      : print.colour('yellow', 'it has no dump: docs/operate/ledger-lost.md says how it gets one'),
  )
  print.line(
    outbox.due
      ? print.colour('yellow', `${outbox.due} events are not in the stream yet, the oldest told ${ago(outbox.oldest!, now)} ago`)
      : 'all told events are in the stream',
  )
  print.line(summaries.to ? `runs are summed up by day from ${summaries.from} to ${summaries.to}` : 'no run is older than 400 days')
  print.line(
    leases
      .filter(({ name }) => !name.startsWith('probe:'))
      .map(({ name, holder, standing }) => `${name}: ${standing ? holder : 'nobody'}`)
      .join('; '),
  )
  print.line()
  print.rows(
    tables.filter(({ rows, table }) => rows > 0 || kept[table]),
    [
      { head: 'table', of: t => t.table, colour: () => 'bold' },
      { head: 'rows', of: t => Math.round(t.rows), right: true },
      { head: 'size', of: t => sizeOf(t.bytes), right: true },
      { head: 'kept for', of: t => kept[t.table] ?? '' },
    ],
    'it is empty',
  )
}

function sizeOf(bytes: number): string {
  if (bytes < 2 ** 20) return `${Math.round(bytes / 1024)} KiB`
  return bytes < 2 ** 30 ? `${(bytes / 2 ** 20).toFixed(1)} MiB` : `${(bytes / 2 ** 30).toFixed(1)} GiB`
}
