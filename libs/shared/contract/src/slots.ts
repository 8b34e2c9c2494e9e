// Cron expressions as slots: the moments, in UTC, at which a schedule is due in its own time zone.
import { Cron } from 'croner'

/** What is wrong with a cron expression, as `{ found, hint }`; undefined when it is good. Exactly 5 or 6 fields (6: seconds first). */
export function checkCron(expression: string): { found: string; hint: string } | undefined {
  const fields = expression.trim().split(/\s+/)
  if (fields.length !== 5 && fields.length !== 6)
    return {
      found: `cron has ${fields.length} field${fields.length === 1 ? '' : 's'}`,
      hint: 'write 5 fields (minute hour day month weekday) or 6 with seconds first, e.g. "30 2 * * *"',
    }
  // Words that croner or other crons know and that mean something else elsewhere: H (Jenkins), L W # ? (Quartz), + (croner's "and").
  const odd = fields.find(field => !/^(\*|[0-9]|[A-Za-z]{3}|[-,/])+$/.test(field))
  if (odd !== undefined)
    return { found: `cron field "${odd}" is not understood`, hint: 'use numbers, names (mon, jan), "*", ranges, lists and steps' }
  try {
    const cron = new Cron(expression, { paused: true, mode: fields.length === 6 ? '6-part' : '5-part' })
    if (!cron.nextRun()) return { found: `cron "${expression}" is never due`, hint: 'no month has that day' }
  } catch (error) {
    return {
      found: `cron "${expression}": ${(error as Error).message.replace(/^CronPattern: /, '')}`,
      hint: 'minute 0–59, hour 0–23, day 1–31, month 1–12, weekday 0–7',
    }
  }
  return undefined
}

/** True when the runtime knows the IANA zone. */
export function isZone(zone: string): boolean {
  try {
    return /^[A-Z][A-Za-z_]*(\/[A-Za-z0-9_+-]+)*$/.test(zone) && Boolean(new Intl.DateTimeFormat('en', { timeZone: zone }))
  } catch {
    return false
  }
}

/** The first slot after `after`, exclusive; null when there is none (29 February of a range without one). */
export const nextSlot = (expression: string, zone: string, after: Date): Date | null =>
  new Cron(expression, { timezone: zone, paused: true }).nextRun(after)

/** The slots in (after, until], oldest first, at most `limit`. */
export function slotsBetween(expression: string, zone: string, after: Date, until: Date, limit = 1_000): Date[] {
  const cron = new Cron(expression, { timezone: zone, paused: true })
  const slots: Date[] = []
  for (let slot = cron.nextRun(after); slot && slot <= until && slots.length < limit; slot = cron.nextRun(slot)) slots.push(slot)
  return slots
}
