// Schedules: when each is due next, whether it is paused, and how its last slot ended.
import { formatDuration } from '@dbops/contract/duration'
import { nextSlot } from '@dbops/contract/slots'
import { inForce, type Pause, standing } from '@dbops/ledger/pauses'
import { lastOfSchedules } from '@dbops/ledger/runs'
import { listSchedules, type ScheduleRow } from '@dbops/ledger/schedules'
import { listTriggers } from '@dbops/ledger/triggers'
import type { Context } from './command.ts'
import { away, clock, localZone, stamp } from './moment.ts'
import { ago, shortId } from './print.ts'
import { operationWords } from './runs/operation-words.ts'
import { stateColour, stateWords } from './runs/run-record.ts'

const slotsShown = 5

export async function schedules({ print, connect }: Context): Promise<void> {
  const { ledger, environment } = await connect()
  const [now, all, pauses, lasts] = [await ledger.now(), await listSchedules(ledger), await standing(ledger), await lastOfSchedules(ledger)]
  const triggers = await listTriggers(ledger)
  const rows = all.map(schedule => {
    const { name, target, task, spec, enabled } = schedule
    const trigger = triggers.find(one => one.schedule === name && one.target === target)
    const dueAt = schedule.dueAt ?? trigger?.fireAt ?? null
    const pause = enabled && dueAt ? pauseOf(pauses, schedule, dueAt) : undefined
    const last = lasts.find(run => run.schedule === name && run.target === target)
    return {
      name,
      target,
      task,
      operation: spec.operation,
      params: spec.params,
      cron: spec.cron ?? null,
      event: spec.event ?? null,
      debounceMs: spec.debounceMs ?? null,
      events: trigger?.events ?? 0,
      zone: spec.zone,
      enabled,
      next: enabled && dueAt ? slotsFrom(schedule, dueAt) : [],
      paused: pause ? { scope: pause.scope, name: pause.name, until: pause.until, actor: pause.actor } : null,
      last: last ? { id: last.id, state: last.state, slot: last.slot, slots: last.slots, finishedAt: last.finishedAt } : null,
    }
  })
  print.environment(environment, `times in ${localZone}`)
  print.rows(
    rows,
    [
      { head: 'schedule', of: s => s.name, colour: s => (s.enabled ? 'bold' : 'dim') },
      { head: 'operation', of: s => operationWords(s.operation, s.params) },
      { head: 'target', wide: true, of: s => s.target },
      { head: 'next', of: s => nextWords(s, now) },
      ...(localZone === 'UTC'
        ? []
        : [{ head: 'utc', wide: true, of: (s: (typeof rows)[number]) => s.next[0] && clock(s.next[0], now, 'UTC') }]),
      {
        head: 'in',
        of: s => (s.paused ? `paused until ${clock(s.paused.until, now)}` : s.next[0] && away(s.next[0], now)),
        colour: s => (s.paused ? 'yellow' : undefined),
      },
      {
        head: 'last',
        of: s => s.last && `${stateWords(s.last.state)} ${shortId(s.last.id)}${s.last.slot ? `, ${ago(s.last.slot, now)} ago` : ''}`,
        colour: s => (s.last && stateColour(s.last.state)) || undefined,
      },
    ],
    'the ledger knows no schedule; add one to the configuration (docs/config.md, section schedules) and start a scheduler',
  )
  for (const { until, actor, scope, name } of pauses)
    print.line(print.colour('yellow', `${scope === 'all' ? 'everything' : `${scope} ${name}`} is paused by ${actor} until ${stamp(until)}`))
}

function nextWords(s: { next: Date[]; event: string | null; debounceMs: number | null; enabled: boolean }, now: Date): string {
  if (!s.enabled) return 'disabled'
  if (s.next[0]) return clock(s.next[0], now)
  return s.event === null ? 'never' : onEvent(s.event, s.debounceMs ?? 0)
}

/** `on data_registered, 30 s after the first` */
export const onEvent = (event: string, debounceMs: number) =>
  `on ${event}${debounceMs ? `, ${formatDuration(debounceMs)} after the first` : ''}`

/** The pause that will keep a slot from being run. */
export const pauseOf = (
  pauses: Pause[],
  { name, target, task }: Pick<ScheduleRow, 'name' | 'target' | 'task'>,
  slot: Date,
): Pause | undefined =>
  inForce(
    pauses.filter(({ until }) => until > slot),
    { schedule: name, target, task },
  )

function slotsFrom({ spec }: ScheduleRow, first: Date): Date[] {
  const { cron, zone } = spec
  const slots = [first]
  if (cron === undefined) return slots
  for (let slot = nextSlot(cron, zone, first); slot && slots.length < slotsShown; slot = nextSlot(cron, zone, slot)) slots.push(slot)
  return slots
}
