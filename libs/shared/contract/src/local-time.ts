// Points in time as people write them in the configuration: local to a zone unless they carry an offset.
import { Cron } from 'croner'

/** A moment of a plan as its people say it: `2026-11-26 18:00 Asia/Seoul`. */
export const localText = (at: Date, zone: string): string => `${at.toLocaleString('sv', { timeZone: zone }).slice(0, 16)} ${zone}`

/**
 * `'2026-12-31T22:00'` in `Asia/Seoul` → the instant 13:00 UTC. A day alone is its first moment. With an offset (`Z`, `+09:00`) the zone does not
 * count. Undefined for what is no point of the calendar (30 February).
 */
export function instantOf(text: string, zone: string): Date | undefined {
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2}))?(Z|[+-]\d{2}:\d{2})?)?$/.exec(text)
  if (!match) return undefined
  const [, day, time = '00:00', seconds = '00', offset] = match
  const local = `${day}T${time}:${seconds}`
  // Date takes 30 February for 2 March; what does not come back as it went in is no day.
  const utc = new Date(`${local}Z`)
  if (Number.isNaN(utc.getTime()) || utc.toISOString() !== `${local}.000Z`) return undefined
  if (offset) return new Date(`${local}${offset}`)
  return new Cron(local, { timezone: zone, paused: true }).nextRun(new Date(0)) ?? undefined
}
