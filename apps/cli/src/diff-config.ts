// Compares a configuration with the schedules and targets that stand in the ledger: what a scheduler does with it at its start, without doing it.
import { formatDuration } from '@dbops/contract/duration'
import { nextSlot } from '@dbops/contract/slots'
import {
  generations,
  isMassDisable,
  listSchedules,
  listTargets,
  type Schedule,
  type ScheduleRow,
  type TargetRow,
} from '@dbops/ledger/schedules'
import { environmentTold } from '@dbops/ledger/services'
import { type Config, readConfig } from '@dbops/runtime/config'
import { plan } from '@dbops/runtime/plan'
import type { Context } from './command.ts'
import type { Connection } from './connect.ts'
import { exits } from './exits.ts'
import { Failed } from './fail.ts'
import { homeOfUp } from './home.ts'
import { clock } from './moment.ts'
import { type Colour, many, type Print } from './print.ts'
import { onEvent } from './schedules.ts'

/** The keys are a contract with scripts: they may become more. */
interface Change {
  /** `rest`: nothing of what the ledger keeps, but something else in the file, or a variable that it names. */
  kind: 'environment' | 'target' | 'schedule' | 'rest'
  name: string
  target: string | null
  /** `enabled` was disabled before; `disabled` stays in the file, `removed` does not. */
  change: 'added' | 'enabled' | 'changed' | 'disabled' | 'removed'
  /** Where it differs: the place, what stands there now, and what would. */
  differs: { at: string; before: unknown; after: unknown }[]
  /** When it is due next; null: never, or when an event comes. */
  next: { before: Date | null; after: Date | null }
}
const never = { before: null, after: null }

export async function diffConfig({ args, options, print, connect }: Context): Promise<number> {
  const connection = await connect()
  const { ledger, environment } = connection
  const config = configOf(connection, (args[0] as string | undefined) ?? options.config)
  const [now, standing, wanted, targets] = [await ledger.now(), await listSchedules(ledger), plan(config), await listTargets(ledger)]
  const schedules = changedSchedules(standing, wanted, config, now)
  const found = [...changedEnvironment(await environmentTold(ledger), config), ...changedTargets(targets, config), ...schedules]
  const { mine, newest } = await generations(ledger, config.hash)
  const changes = found.length || !newest || newest.hash === config.hash ? found : [rest(newest.hash, config)]
  for (const change of changes) print.record(change)
  print.environment(environment, `${config.file} beside what stands in the ledger`)
  for (const change of changes) tell(print, change, now)
  const gone = schedules.filter(isGone).length
  const stays = wanted.length - (schedules.length - gone)
  print.line(`${changes.length ? many(changes.length, 'change') : 'nothing would change'}; ${many(stays, 'schedule')} as before`)
  const enabled = standing.filter(row => row.enabled).length
  if (isMassDisable(gone, enabled))
    print.line(
      print.colour('red', `it would disable ${gone} of ${enabled} schedules: a scheduler refuses that without --allow-mass-disable`),
    )
  if (mine !== null && newest && mine < newest.generation)
    print.line(
      print.colour('yellow', 'it was applied before the one that stands: a scheduler takes it up once none runs the newer one any more'),
    )
  return changes.length && options['exitCode'] ? exits.failed : exits.done
}

const isGone = ({ change }: Change) => change === 'disabled' || change === 'removed'

function configOf({ config, up }: Connection, file: string | undefined): Config {
  const found = file === undefined ? config : readConfig(file, { env: { DBOPS_HOME: homeOfUp(), ...process.env, ...up?.variables } })
  if (found) return found
  throw new Failed('wrong', 'which configuration? Only the ledger is known here', {
    code: 'bad_argument',
    hint: './dbops config diff FILE',
  })
}

/** Of another environment, it is the wrong file or the wrong ledger. */
const changedEnvironment = (told: string | undefined, { environment }: Config): Change[] =>
  told === undefined || told === environment
    ? []
    : [
        {
          kind: 'environment',
          name: environment,
          target: null,
          change: 'changed',
          differs: [{ at: 'environment', before: told, after: environment }],
          next: never,
        },
      ]

const rest = (standing: string, { hash }: Config): Change => ({
  kind: 'rest',
  name: 'windows, alerts, policies, timers or other sections',
  target: null,
  change: 'changed',
  differs: [{ at: 'hash', before: standing.slice(0, 12), after: hash.slice(0, 12) }],
  next: never,
})

const key = ({ name, target }: { name: string; target: string | null }) => `${name} ${target ?? ''}`

function changedSchedules(standing: ScheduleRow[], wanted: Schedule[], config: Config, now: Date): Change[] {
  const before = new Map(standing.map(row => [key(row), row]))
  const kept = new Set(wanted.map(key))
  const dueNext = ({ spec }: Schedule) => (spec.cron === undefined ? null : nextSlot(spec.cron, spec.zone, now))
  return [
    ...wanted.flatMap((after): Change[] => {
      const old = before.get(key(after))
      if (old?.enabled && old.specHash === after.specHash && old.task === after.task) return []
      const differs = old?.enabled ? differences({ task: old.task, ...old.spec }, { task: after.task, ...after.spec }) : howDue(after)
      const next = { before: old?.enabled ? old.dueAt : null, after: dueNext(after) }
      const change = old ? (old.enabled ? 'changed' : 'enabled') : 'added'
      return [{ kind: 'schedule', name: after.name, target: after.target, change, differs, next }]
    }),
    ...standing
      .filter(row => row.enabled && !kept.has(key(row)))
      .map(
        ({ name, target, dueAt }): Change => ({
          kind: 'schedule',
          name,
          target,
          change: config.schedules[name]?.enabled === false ? 'disabled' : 'removed',
          differs: [],
          next: { before: dueAt, after: null },
        }),
      ),
  ]
}

const howDue = ({ task, spec }: Schedule): Change['differs'] => [
  { at: 'task', before: null, after: task },
  spec.cron === undefined
    ? { at: 'due', before: null, after: onEvent(spec.event!, spec.debounceMs ?? 0) }
    : { at: 'cron', before: null, after: `${spec.cron} (${spec.zone})` },
]

function changedTargets(standing: TargetRow[], config: Config): Change[] {
  const before = new Map(standing.map(({ name, ...facts }) => [name, facts]))
  return [
    ...Object.entries(config.targets).flatMap(([name, { engine, concurrency, labels }]): Change[] => {
      const old = before.get(name)
      const differs = old ? differences(old, { engine, ...concurrency, labels }) : []
      if (old && !differs.length) return []
      return [{ kind: 'target', name, target: null, change: old ? 'changed' : 'added', differs, next: never }]
    }),
    ...[...before.keys()]
      .filter(name => !Object.hasOwn(config.targets, name))
      .map((name): Change => ({ kind: 'target', name, target: null, change: 'removed', differs: [], next: never })),
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

const marks: Record<Change['change'], [string, Colour]> = {
  added: ['+', 'green'],
  enabled: ['+', 'green'],
  changed: ['~', 'yellow'],
  disabled: ['-', 'red'],
  removed: ['-', 'red'],
}

function tell(print: Print, one: Change, now: Date): void {
  const { kind, name, target, change, differs, next } = one
  const [mark, colour] = marks[change]
  print.line(`${print.colour(colour, mark)} ${kind} ${print.colour('bold', name)}${target === null ? '' : ` on ${target}`}  ${change}`)
  for (const { at, before, after } of differs)
    print.line(`    ${at.replace(/Ms$/, '')}: ${before === null ? '' : `${words(at, before)} → `}${words(at, after)}`)
  if (next.before?.getTime() !== next.after?.getTime())
    print.line(
      print.colour(
        'dim',
        `    due next: ${next.before ? `${clock(next.before, now)} → ` : ''}${next.after ? clock(next.after, now) : isGone(one) ? 'no more' : 'not by time'}`,
      ),
    )
}

function words(at: string, value: unknown): string {
  if (value === null) return 'nothing'
  if (at.endsWith('Ms') && typeof value === 'number') return formatDuration(value)
  return typeof value === 'string' ? value : JSON.stringify(value)
}
