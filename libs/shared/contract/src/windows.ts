// Windows: named times of the week in a zone. Pure; over midnight and over changes of the clocks.
import type { Window } from './config-file.ts'

const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const
const minute = 60_000
/** How far an opening or a closing is looked for, in minutes: every window opens within a week. */
const horizon = 8 * 24 * 60

/** Whether the window is open at `now`. One whose end is before its beginning goes over midnight, and belongs to the day on which it began. */
export function isOpen(window: Window, zone: string, now: Date): boolean {
  const { day, time } = localTime(now, window.zone ?? zone)
  const on = (which: string) => window.days === undefined || (window.days as readonly string[]).includes(which)
  const yesterday = dayNames[(dayNames.indexOf(day) + 6) % 7]!
  if (window.from <= window.to) return on(day) && window.from <= time && time < window.to
  return (on(day) && window.from <= time) || (on(yesterday) && time < window.to)
}

/** The next minute at which the window is open. */
export const nextOpening = (window: Window, zone: string, now: Date): Date => nextMinute(now, at => isOpen(window, zone, at))

/** When the window that is open now closes. */
export const nextClosing = (window: Window, zone: string, now: Date): Date => nextMinute(now, at => !isOpen(window, zone, at))

function nextMinute(now: Date, when: (at: Date) => boolean): Date {
  let at = Math.floor(now.getTime() / minute) * minute + minute
  for (let i = 0; i < horizon && !when(new Date(at)); i++) at += minute
  return new Date(at)
}

function localTime(at: Date, zone: string): { day: (typeof dayNames)[number]; time: string } {
  const parts = Object.fromEntries(
    formatter(zone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value]),
  )
  return { day: parts['weekday']!.toLowerCase() as (typeof dayNames)[number], time: `${parts['hour']}:${parts['minute']}` }
}

const formatters = new Map<string, Intl.DateTimeFormat>()
function formatter(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone)
  if (known) return known
  const made = new Intl.DateTimeFormat('en-US', { timeZone: zone, hourCycle: 'h23', weekday: 'short', hour: '2-digit', minute: '2-digit' })
  formatters.set(zone, made)
  return made
}
