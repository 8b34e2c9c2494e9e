// The rules about when work may begin: windows and blackouts. Pure: time is an argument, and a verdict says which rule spoke and why.
import type { Blackout, ConfigFile, Window } from '@dbops/contract/config-file'
import type { Verdict } from '@dbops/ledger/runs'

export interface Question {
  task: string
  target: string | null
  window?: { name: string } | undefined
}
type Rules = Pick<ConfigFile, 'windows' | 'blackouts' | 'zone'>

const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const minute = 60_000
/** How far an opening is looked for: every window opens within a week, and a blackout may lie over some of its days. */
const horizon = 14 * 24 * 60

/** May this begin now? Asked at the birth of a run and at every dispatch. */
export function judge(question: Question, rules: Rules, now: Date): Verdict {
  const blackout = rules.blackouts.find(b => covers(b, question, rules.zone, now))
  if (blackout) {
    const until = endOf(blackout, rules.zone)
    return { verdict: 'wait', until, rule: 'blackout', reason: `blackout "${blackout.reason}" until ${until.toISOString()}` }
  }
  const name = question.window?.name
  const window = name === undefined ? undefined : rules.windows[name]
  if (name === undefined || !window || isOpen(window, rules.zone, now)) return { verdict: 'allow' }
  const opens = nextOpening(window, rules.zone, now)
  return { verdict: 'wait', until: opens, rule: 'window', reason: `window "${name}" opens ${opens.toISOString()}` }
}

const covers = (b: Blackout, { task, target }: Question, zone: string, now: Date): boolean =>
  (b.targets === undefined || (target !== null && b.targets.includes(target))) &&
  !b.except.includes(task) &&
  instant(b.from, zone) <= now &&
  now < instant(b.to, zone)
const endOf = (b: Blackout, zone: string) => instant(b.to, zone)

/** A window whose end is before its beginning goes over midnight, and belongs to the day on which it began. */
export function isOpen(window: Window, zone: string, now: Date): boolean {
  const { day, time } = localTime(now, window.zone ?? zone)
  const on = (which: string) => window.days === undefined || (window.days as readonly string[]).includes(which)
  const yesterday = dayNames[(dayNames.indexOf(day) + 6) % 7]!
  if (window.from <= window.to) return on(day) && window.from <= time && time < window.to
  return (on(day) && window.from <= time) || (on(yesterday) && time < window.to)
}

function nextOpening(window: Window, zone: string, now: Date): Date {
  let at = Math.ceil((now.getTime() + 1) / minute) * minute
  for (let i = 0; i < horizon; i++, at += minute) if (isOpen(window, zone, new Date(at))) return new Date(at)
  return new Date(at)
}

/** When the window that is open now closes; undefined while it is closed. */
export function closingOf(window: Window, zone: string, now: Date): Date | undefined {
  if (!isOpen(window, zone, now)) return undefined
  let at = Math.ceil((now.getTime() + 1) / minute) * minute
  for (let i = 0; i < horizon && isOpen(window, zone, new Date(at)); i++) at += minute
  return new Date(at)
}

function localTime(at: Date, zone: string): { day: (typeof dayNames)[number]; time: string } {
  const parts = Object.fromEntries(
    formatter(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  )
  return { day: parts['weekday']!.toLowerCase().slice(0, 3) as (typeof dayNames)[number], time: `${parts['hour']}:${parts['minute']}` }
}

/** `2026-12-31T22:00` in a zone, or with its own offset, as a moment. In the repeated hour of autumn the first of the two. */
export function instant(text: string, zone: string): Date {
  const full = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T00:00` : text.replace(' ', 'T')
  if (/(Z|[+-]\d{2}:\d{2})$/.test(full)) return new Date(full)
  const asUtc = Date.parse(`${full}Z`)
  // The offset at the guess, then at the corrected guess: right on both sides of a change of the clocks.
  const first = asUtc - offsetAt(asUtc, zone)
  return new Date(asUtc - offsetAt(first, zone))
}

function offsetAt(at: number, zone: string): number {
  const p = Object.fromEntries(
    formatter(zone)
      .formatToParts(new Date(at))
      .map(({ type, value }) => [type, value]),
  )
  const local = Date.UTC(
    Number(p['year']),
    Number(p['month']) - 1,
    Number(p['day']),
    Number(p['hour']),
    Number(p['minute']),
    Number(p['second']),
  )
  return local - Math.floor(at / 1_000) * 1_000
}

const formatters = new Map<string, Intl.DateTimeFormat>()
function formatter(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone)
  if (known) return known
  const made = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    hourCycle: 'h23',
    weekday: 'short',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  })
  formatters.set(zone, made)
  return made
}
