// Points in time as people read and type them: how long ago and at what time of the day, `2h`, `2026-12-31T22:00`. In the zone of this machine.
import { duration, formatDuration, parseDuration } from '@dbops/contract/duration'
import { instantOf } from '@dbops/contract/local-time'
import { Failed } from './fail.ts'
import { ago } from './print.ts'

/** The zone of this machine, in which people read. */
export const localZone = Intl.DateTimeFormat().resolvedOptions().timeZone

/** `2026-12-31 22:00:05`, in `zone`. */
export const stamp = (at: Date | string, zone = localZone) => new Date(at).toLocaleString('sv', { timeZone: zone })

/** The time of the day where the day is today's, else with month and day: `22:00:05`, `12-31 22:00`. */
export function clock(at: Date | string, now: Date, zone = localZone): string {
  const text = stamp(at, zone)
  return text.slice(0, 10) === stamp(now, zone).slice(0, 10) ? text.slice(11) : text.slice(5, 16)
}

/** `22:00:05, 3m ago`. */
export const past = (at: Date | string, now: Date) => `${clock(at, now)}, ${ago(at, now)} ago`

/** `02:30:00, in 5h 12m`; `now` for what is due. */
export const coming = (at: Date | string, now: Date, zone = localZone) =>
  `${clock(at, now, zone)}${zone === localZone ? '' : ` ${zone}`}, ${away(at, now)}`
export function away(at: Date | string, now: Date): string {
  const ms = new Date(at).getTime() - now.getTime()
  if (ms < 1_000) return 'now'
  const seconds = Math.round(ms / 1_000)
  return `in ${seconds < 60 ? `${seconds}s` : formatDuration(seconds * 1_000)}`
}

/** `2h` before `now`, or a point in time. Fails with exit 2. */
export const momentBefore = (flag: string, text: string, now: Date, zone = localZone): Date => moment(flag, text, now, -1, zone)

/** `2h` from `now` on, or a point in time that is still to come. Fails with exit 2. */
export function momentAfter(flag: string, text: string, now: Date, zone = localZone): Date {
  const at = moment(flag, text, now, 1, zone)
  if (at <= now)
    throw new Failed('wrong', `${flag}: "${text}" is past`, { hint: `name a time that is still to come (${zone}), or how long: 2h` })
  return at
}

function moment(flag: string, text: string, now: Date, sign: 1 | -1, zone: string): Date {
  if (duration.safeParse(text).success) return new Date(now.getTime() + sign * parseDuration(text))
  if (/^[0-9]+(ms|s|m|h|d)$/.test(text))
    throw new Failed('wrong', `${flag}: "${shorten(text)}" leads out of the calendar`, { hint: 'write 30m, 2h, 7d, at most 99999d' })
  const at = instantOf(text.replace(/\.\d+(?=Z|[+-]|$)/, ''), zone)
  if (!at)
    throw new Failed('wrong', `${flag}: "${shorten(text)}" is neither a duration nor a point in time`, {
      hint: `write 30m, 2h, 7d, or 2026-12-31T22:00 (${zone}; with an offset: …Z, …+09:00)`,
    })
  return at
}

const shorten = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}…` : text)
