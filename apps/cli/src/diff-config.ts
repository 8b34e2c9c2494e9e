// Compares a configuration with the schedules and targets that stand in the ledger: the same that a scheduler does at its start, without doing it.
import { nextSlot } from '@dbops/contract/slots'
import { listSchedules, listTargets, type Schedule, type ScheduleRow } from '@dbops/ledger/schedules'
import { readConfig } from '@dbops/runtime/config'
import { plan } from '@dbops/runtime/plan'
import type { Context } from './command.ts'
import { exits } from './exits.ts'
import { Failed } from './fail.ts'
import { homeOfUp } from './home.ts'
import { clock } from './moment.ts'
import { onEvent } from './schedules.ts'

interface Change {
  kind: 'schedule' | 'target'
  name: string
  target: string | null
  change: 'added' | 'changed' | 'disabled'
  /** Where it differs: the place, what stands there now, and what would. */
  differs: { at: string; before: unknown; after: unknown }[]
  /** When it is due next; null: never, or when an event comes. */
  next: { before: Date | null; after: Date | null }
}

export async function diffConfig({ args, options, print, connect }: Context): Promise<number> {
  const { ledger, environment, config: told } = await connect()
  const file = (args[0] as string | undefined) ?? options.config
  const config = file === undefined ? told : readConfig(file, { env: { DBOPS_HOME: homeOfUp(), ...process.env } })
  if (!config)
    throw new Failed('wrong', 'which configuration? Only the ledger is known here', {
      code: 'bad_argument',
      hint: './dbops config diff FILE',
    })
  const [now, standing, wanted, targets] = [await ledger.now(), await listSchedules(ledger), plan(config), await listTargets(ledger)]
  const changes = [...changedSchedules(standing, wanted, now), ...changedTargets(targets, config.targets)]
  const stays = wanted.length - changes.filter(({ kind, change }) => kind === 'schedule' && change !== 'disabled').length
  for (const change of changes) print.record(change)
  print.environment(environment, `${config.file} beside what stands in the ledger`)
  for (const { kind, name, target, change, differs, next } of changes) {
    const mark =
      change === 'added' ? print.colour('green', '+') : change === 'disabled' ? print.colour('red', '-') : print.colour('yellow', '~')
    print.line(`${mark} ${kind} ${print.colour('bold', name)}${target === null ? '' : ` on ${target}`}`)
    for (const { at, before, after } of differs) print.line(`    ${at}: ${words(before)} → ${words(after)}`)
    if (kind === 'schedule' && (next.before || next.after) && +(next.before ?? 0) !== +(next.after ?? 0))
      print.line(print.colour('dim', `    due next: ${due(next.before, now)} → ${due(next.after, now)}`))
  }
  const enabled = standing.filter(row => row.enabled).length
  const gone = changes.filter(({ kind, change }) => kind === 'schedule' && change === 'disabled').length
  print.line(
    changes.length
      ? `${changes.length} would change, ${stays} schedules stay as they are`
      : `nothing would change: ${stays} schedules stay as they are`,
  )
  // As reconcile() decides it.
  if (gone > 1 && gone * 2 > enabled)
    print.line(
      print.colour('red', `it would disable ${gone} of ${enabled} schedules: a scheduler refuses that without --allow-mass-disable`),
    )
  return changes.length && options['exitCode'] ? exits.failed : exits.done
}

const key = ({ name, target }: { name: string; target: string | null }) => `${name} ${target ?? ''}`

function changedSchedules(standing: ScheduleRow[], wanted: Schedule[], now: Date): Change[] {
  const before = new Map(standing.filter(row => row.enabled).map(row => [key(row), row]))
  const kept = new Set(wanted.map(key))
  const dueNext = ({ spec }: Schedule) => (spec.cron === undefined ? null : nextSlot(spec.cron, spec.zone, now))
  return [
    ...wanted.flatMap((after): Change[] => {
      const old = before.get(key(after))
      if (old?.specHash === after.specHash && old.task === after.task) return []
      const differs = old ? differences({ task: old.task, ...old.spec }, { task: after.task, ...after.spec }) : howDue(after)
      const next = { before: old?.dueAt ?? null, after: dueNext(after) }
      return [{ kind: 'schedule', name: after.name, target: after.target, change: old ? 'changed' : 'added', differs, next }]
    }),
    ...[...before.values()]
      .filter(row => !kept.has(key(row)))
      .map(
        (row): Change => ({
          kind: 'schedule',
          name: row.name,
          target: row.target,
          change: 'disabled',
          differs: [],
          next: { before: row.dueAt, after: null },
        }),
      ),
  ]
}

const howDue = ({ task, spec }: Schedule): Change['differs'] => [
  { at: 'task', before: null, after: task },
  ...(spec.cron === undefined
    ? [{ at: 'due', before: null, after: onEvent(spec.event!, spec.debounceMs ?? 0) }]
    : [{ at: 'cron', before: null, after: `${spec.cron} (${spec.zone})` }]),
]

function changedTargets(
  standing: Awaited<ReturnType<typeof listTargets>>,
  wanted: Record<string, { engine: string; concurrency: { heavy: number; light: number }; labels: Record<string, string> }>,
): Change[] {
  const before = new Map(standing.map(({ name, ...rest }) => [name, rest]))
  const never = { before: null, after: null }
  return [
    ...Object.entries(wanted).flatMap(([name, { engine, concurrency, labels }]): Change[] => {
      const old = before.get(name)
      const differs = old ? differences(old, { engine, ...concurrency, labels }) : []
      if (old && !differs.length) return []
      return [{ kind: 'target', name, target: null, change: old ? 'changed' : 'added', differs, next: never }]
    }),
    ...[...before.keys()]
      .filter(name => !Object.hasOwn(wanted, name))
      .map((name): Change => ({ kind: 'target', name, target: null, change: 'disabled', differs: [], next: never })),
  ]
}

/** Every leaf in which two values differ, with its path. */
function differences(before: unknown, after: unknown, at = ''): Change['differs'] {
  if (isRecord(before) && isRecord(after))
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap(name =>
      differences(before[name], after[name], at ? `${at}.${name}` : name),
    )
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ at, before: before ?? null, after: after ?? null }]
}
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const words = (value: unknown) => (value === null ? 'nothing' : typeof value === 'string' ? value : JSON.stringify(value))
const due = (at: Date | null, now: Date) => (at ? clock(at, now) : 'not by time')
