// What a schedule says of the rest: its task, when it falls due, its window, parameters and targets, and times that must agree.
import type { Catalog, TaskEntry } from '@dbops/catalog/catalog'
import type { ConfigFile } from '@dbops/contract/config-file'
import { duration, parseDuration } from '@dbops/contract/duration'
import { nearMiss } from '@dbops/contract/names'
import { isSignal, signalNames } from '@dbops/contract/signals'
import { checkCron } from '@dbops/contract/slots'
import type { Found, Path } from './config-problem.ts'
import { entries, fault, inCatalog, inSection, object, type Raw, text, words } from './config-sections.ts'
import { checkParams, resolveTargets } from './params.ts'

export const checkSchedules = (raw: Raw, catalog: Catalog): Found[] => [
  ...circles(raw, catalog),
  ...entries(raw, 'schedules').flatMap(([path, schedule]) => {
    const name = text(schedule.task)
    const task = catalog.tasks.find(known => known.name === name)
    return [
      ...inCatalog(catalog, name, [...path, 'task']),
      ...dueness(schedule, path),
      ...window(schedule, path, raw),
      ...queueing(schedule, path, task),
      ...(task?.approval === 'always' ? [unscheduled(task, path)] : []),
      ...(task ? [...params(schedule, path, task, raw), ...times(schedule, path, task)] : targets(schedule, path, raw)),
    ]
  }),
]

/** Keys about slots: an event is never early, late or one of several. */
const ofSlots = ['zone', 'misfire', 'catchUp', 'overlap', 'jitter']

/** Told of any run, whatever its task. */
const ofEveryRun = ['run_lost', 'run_cancelled', 'run_refused']

/** Schedules whose runs tell the event that they run for, by themselves or by way of others: each run would bear the next, for ever. */
function circles(raw: Raw, catalog: Catalog): Found[] {
  const awaiting = entries(raw, 'schedules').flatMap(([path, { task, event, params, enabled }]) => {
    const known = catalog.tasks.find(({ name }) => name === task)
    if (!known || typeof event !== 'string' || enabled === false) return []
    const purge = object(object(raw.purges)?.[text(object(params)?.policy) ?? ''])
    const tells = [...known.emits.succeeded, known.emits.failed, ...ofEveryRun, ...[text(purge?.event)].filter(one => one !== undefined)]
    return [{ path, name: String(path.at(-1)), event, tells: new Set<string>(tells) }]
  })
  return awaiting.flatMap(({ path, event, name }) => {
    const way = wayBack(awaiting, [name], event)
    if (!way) return []
    const found = way.length === 1 ? `its own runs tell ${event}` : `its runs lead to ${event} again, by ${way.slice(1).join(', ')}`
    return [fault([...path, 'event'], `${found}: each would bear the next`, 'name an event that comes from somewhere else')]
  })
}

/** The schedules by which a run of the last of `way` leads to `event`. */
function wayBack(awaiting: { name: string; event: string; tells: Set<string> }[], way: string[], event: string): string[] | undefined {
  const last = awaiting.find(({ name }) => name === way.at(-1))!
  if (last.tells.has(event)) return way
  for (const next of awaiting) {
    if (way.includes(next.name) || !last.tells.has(next.event)) continue
    const found = wayBack(awaiting, [...way, next.name], event)
    if (found) return found
  }
  return undefined
}

/** Each of its runs is approved by a person who has looked at that very plan. */
const unscheduled = (task: TaskEntry, path: Path): Found =>
  fault(
    [...path, 'task'],
    `every run of ${task.name} wants an approval, so it has no schedule`,
    `ask for it by hand: ./dbops run ${task.name} --help`,
  )

function dueness(schedule: Raw, path: Path): Found[] {
  const cron = text(schedule.cron)
  const event = text(schedule.event)
  if (cron !== undefined && event !== undefined) return [fault([...path, 'event'], 'stands beside cron', 'make two schedules of it')]
  if (event !== undefined && !isSignal(event))
    return [fault([...path, 'event'], `"${event}" is no event`, nearMiss(event, signalNames) ?? 'docs/reference/events.md lists them')]
  if (event !== undefined)
    return ofSlots
      .filter(key => schedule[key] !== undefined)
      .map(key => fault([...path, key], 'says nothing of an event: it is of schedules with a cron', 'leave it out'))
  if (schedule.debounce !== undefined)
    return [fault([...path, 'debounce'], 'stands without event', 'leave it out, or write event: in place of cron')]
  if (cron === undefined && event === undefined && schedule.cron === undefined && schedule.event === undefined)
    return [fault([...path, 'cron'], 'is missing', 'write when it runs, e.g. cron: "30 2 * * *", or event: data_registered')]
  if (cron === undefined) return []
  const wrong = checkCron(cron)
  return wrong ? [fault([...path, 'cron'], wrong.found, wrong.hint)] : []
}

/** Slots that are all made up for are born at once: they want a queue, and a queue is of a target. */
const queueing = ({ misfire, overlap }: Raw, path: Path, task: TaskEntry | undefined): Found[] => [
  ...(misfire === 'all' && overlap !== 'queue'
    ? [fault([...path, 'misfire'], 'all slots at once would overlap', 'write overlap: queue beside it')]
    : []),
  ...(overlap === 'queue' && task?.on === 'none'
    ? [fault([...path, 'overlap'], `${task.name} works on no target, and a queue is of a target`, 'leave it out')]
    : []),
]

const window = (schedule: Raw, path: Path, raw: Raw): Found[] => [
  ...inSection(raw, 'windows', text(schedule.window), [...path, 'window']),
  ...inSection(raw, 'windows', text(object(schedule.window)?.name), [...path, 'window', 'name']),
]

/** The targets that are named, each with its path. */
const asked = (schedule: Raw, path: Path): [Path, string][] => {
  const one = text(schedule.target)
  return one === undefined ? words(schedule.targets, [...path, 'targets']) : [[[...path, 'target'], one]]
}

/** Of a schedule whose task is not known, only whether its targets are there can be said. */
const targets = (schedule: Raw, path: Path, raw: Raw): Found[] =>
  asked(schedule, path).flatMap(([at, name]) => inSection(raw, 'targets', name, at))

/** Parameters and targets, by the same rules as a command's. */
function params(schedule: Raw, path: Path, task: TaskEntry, raw: Raw): Found[] {
  const config = { ...raw, targets: object(raw.targets) ?? {} } as unknown as ConfigFile
  const { found, target: carried } = checkParams(task, object(schedule.params) ?? {}, config)
  const wrong = found.map(one => ({ ...one, path: [...path, 'params', ...one.path] }))
  if (schedule.target !== undefined && schedule.targets !== undefined)
    return [...wrong, fault([...path, 'targets'], 'stands beside target', 'keep one of target: and targets:')]
  const fitting = (names: string[], at: Path) =>
    resolveTargets(task, names, carried, config).errors.map(({ message, hint }) => fault(at, message, hint))
  const named = asked(schedule, path)
  if (named.length) return [...wrong, ...named.flatMap(([at, name]) => fitting([name], at))]
  // Where a reference is broken it cannot be told whether it would have carried a target.
  return wrong.length ? wrong : fitting([], [...path, 'target'])
}

function times(schedule: Raw, path: Path, task: TaskEntry): Found[] {
  const written = { timeout: schedule.timeout ?? task.timeout, deadline: schedule.deadline ?? task.deadline }
  const timeout = duration.safeParse(written.timeout).data
  const deadline = duration.safeParse(written.deadline).data
  if (timeout === undefined || deadline === undefined) return []
  const zero = Object.entries({ timeout, deadline }).filter(([, time]) => parseDuration(time) === 0)
  if (zero.length) return zero.map(([key]) => fault([...path, key], 'is no time at all', 'write for example 30m'))
  if (parseDuration(timeout) <= parseDuration(deadline)) return []
  const message = `a timeout of ${timeout} is longer than the deadline of ${deadline}`
  const hint = 'the deadline holds all attempts of a run: write a longer deadline'
  return [fault([...path, schedule.timeout === undefined ? 'deadline' : 'timeout'], message, hint)]
}
