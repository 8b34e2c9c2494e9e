// What statements cost, from the ledger alone: the sums of the windows that pg.statements has stored, and what these are worth.
import { listReadings, type ReadingRow } from '@dbops/ledger/probes'
import { type Order, type TopStatement, topStatements, type WindowFacts, windowFacts } from '@dbops/ledger/statements'
import type { Context } from './command.ts'
import { limitOf } from './filters.ts'
import { momentBefore, stamp } from './moment.ts'
import { ago, cut } from './print.ts'

/** As the platform's own list has it. */
const preview = 100

export async function top({ options, print, connect }: Context): Promise<void> {
  const limit = limitOf(options['limit'])
  const target = options['target'] as string | undefined
  const { ledger, environment } = await connect()
  const now = await ledger.now()
  const after = momentBefore('--window', options['window'] as string, now)
  const readings = (await listReadings(ledger)).filter(one => one.probe === 'pg.statements' && (!target || one.target === target))
  const asked = { after, without: options['own'] ? [] : readings.flatMap(ownRole), ...(target ? { target } : {}) }
  const facts = await windowFacts(ledger, asked)
  const found = await topStatements(ledger, { ...asked, by: options['by'] as Order, limit, nested: Boolean(options['nested']) })
  print.environment(environment)
  for (const one of facts) for (const line of said(one, now)) print.line(line)
  const windows = new Map(facts.map(({ target: of, since, until, missing }) => [of, { since, until, missing }]))
  print.rows(
    found.map(statement => ({ ...statement, window: windows.get(statement.target) })),
    [
      { head: 'target', wide: true, of: s => s.target },
      { head: 'total_ms', of: s => figure(s.totalMs, 2), right: true },
      { head: 'share', of: s => `${s.share.toFixed(1)}%`, right: true, colour: s => (s.share >= 25 ? 'yellow' : undefined) },
      { head: 'calls', of: s => figure(s.calls), right: true },
      { head: 'avg_ms', of: s => figure(s.avgMs, 2), right: true },
      { head: 'max_ms*', of: s => figure(s.maxMs, 2), right: true },
      { head: 'rows', of: s => figure(s.rows), right: true },
      { head: 'wal', wide: true, of: s => figure(s.wal), right: true },
      { head: 'role', wide: true, of: s => s.role },
      { head: 'query', of: (s: TopStatement) => cut(s.text, preview) },
    ],
    facts.length ? 'no statement moved in that time' : nothingYet(readings, target),
  )
  if (found.length) print.line(print.colour('dim', '* since the reset of the counters, not within the window'))
  for (const { target: of, result } of readings)
    if (result?.['shared'])
      print.line(
        print.colour(
          'dim',
          `${of}: others work as our role ${String(result['role'])} too, so our own statements stand among theirs; give this system a role of its own`,
        ),
      )
  for (const reading of readings) {
    const reason = trouble(reading)
    if (reason) print.line(`${reading.target}: no figures since ${stamp(reading.since)}: ${reason}`)
  }
}

/** The window as it really is, and what is missing in it. */
function said({ target, since, until, windows, calls, totalMs, nestedMs, ownMs, missing }: WindowFacts, now: Date): string[] {
  const apart = [
    nestedMs ? `${figure(nestedMs)} ms of it nested (--nested)` : '',
    ownMs ? `${figure(ownMs)} ms of our own apart (--own)` : '',
  ]
  return [
    `${target}: ${stamp(since)} – ${stamp(until)} (${ago(until, now)} ago), ${windows} ${windows === 1 ? 'window' : 'windows'}, ${figure(calls)} calls, ${figure(totalMs)} ms` +
      apart
        .filter(Boolean)
        .map(text => `; ${text}`)
        .join(''),
    ...missing.slice(-3).map(({ until: at, why }) => `  window incomplete (until ${stamp(at)}): ${why.join('; ')}`),
    ...(missing.length > 3 ? [`  and ${missing.length - 3} more incomplete windows before`] : []),
  ]
}

const ownRole = ({ target, result }: ReadingRow) => {
  const { role, shared } = (result ?? {}) as { role?: string | null; shared?: boolean }
  return role && !shared ? [{ target, role }] : []
}

const trouble = ({ state, error, result }: ReadingRow): string | null =>
  state === 'failed' ? (error?.message ?? 'the reading failed') : ((result?.['reason'] as string | null | undefined) ?? null)

const nothingYet = (readings: ReadingRow[], target: string | undefined) =>
  readings.some(reading => !trouble(reading))
    ? 'no window in that time yet: two readings make one, and they are taken every 5 minutes'
    : `nothing was counted${target ? ` on ${target}` : ''}; ./dbops findings says what is in the way, ./dbops status whether a maintainer runs`

/** Thousands apart, as people read them. */
const figure = (value: number, digits = 0) => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
