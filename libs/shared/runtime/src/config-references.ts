// What one part of the configuration says of another, of the catalogue, of zones and of time: names that must exist, numbers that must agree.
import { type Catalog, type TaskEntry } from '@dbops/catalog/catalog'
import { type ConfigFile, configFile } from '@dbops/contract/config-file'
import { parseDuration } from '@dbops/contract/duration'
import { instantOf } from '@dbops/contract/local-time'
import { nearMiss } from '@dbops/contract/names'
import { isSignal, signalNames } from '@dbops/contract/signals'
import { checkCron, isZone, nextSlot } from '@dbops/contract/slots'
import type { Found, Path } from './config-problem.ts'
import { schemeFault, type UrlKind, urlFault } from './connection.ts'
import { checkParams, resolveTargets, unknownName } from './params.ts'

/** An entry as it was written: other checks say when a value has the wrong type, so these look only at what is there. */
type Raw = Record<string, unknown>

/** Everything that does not agree. `raw` is the file as written, variables filled in; it may be wrong in other ways too. */
export const checkReferences = (raw: Raw, catalog: Catalog): Found[] =>
  [zones, timers, services, targets, stores, windows, blackouts, dumps, schedules, groups, channels, routes].flatMap(check =>
    check(raw, catalog),
  )

const zones = (raw: Raw): Found[] => [
  ...zoneFault(raw, []),
  ...entries(raw, 'windows').flatMap(([path, window]) => zoneFault(window, path)),
  ...entries(raw, 'schedules').flatMap(([path, schedule]) => zoneFault(schedule, path)),
]

function zoneFault(holder: Raw, path: Path): Found[] {
  const zone = text(holder.zone)
  if (zone === undefined || isZone(zone)) return []
  const hint = nearMiss(zone, Intl.supportedValuesOf('timeZone')) ?? 'write an IANA zone such as Asia/Seoul, Europe/Berlin or UTC'
  return [{ path: [...path, 'zone'], message: `"${zone}" is no time zone`, hint }]
}

/** The protocol's own rule: a lease has room for four heartbeats, so that three lost ones take no work away. */
function timers(raw: Raw): Found[] {
  const parsed = configFile.shape.timers.safeParse(raw.timers ?? {})
  if (!parsed.success) return []
  const { heartbeat, lease } = parsed.data
  const zero = Object.entries(parsed.data).filter(([, value]) => parseDuration(value) === 0)
  if (zero.length) return zero.map(([key]) => ({ path: ['timers', key], message: 'is no time at all', hint: 'write for example 5s' }))
  if (parseDuration(lease) >= 4 * parseDuration(heartbeat)) return []
  const key = object(raw.timers)?.lease === undefined ? 'heartbeat' : 'lease'
  return [
    {
      path: ['timers', key],
      message: `a lease of ${lease} is less than 4 heartbeats of ${heartbeat}`,
      hint: `lease: ${(4 * parseDuration(heartbeat)) / 1000}s or more, or a shorter heartbeat`,
    },
  ]
}

const services = (raw: Raw): Found[] => {
  const ledger = object(raw.ledger)?.url
  const shared = entries(raw, 'targets').find(([, { url }]) => typeof url === 'string' && url === ledger)
  const hint = 'give the ledger a database of its own: it must answer while a target does not'
  return [
    ...(shared ? [{ path: ['ledger', 'url'], message: `is the database of the target "${shared[0].at(-1)}"`, hint }] : []),
    ...urlFound('pg', ledger, ['ledger', 'url']),
    ...urlFound('redis', object(raw.redis)?.url, ['redis', 'url']),
  ]
}

const targets = (raw: Raw): Found[] =>
  entries(raw, 'targets').flatMap(([path, target]) => {
    const { engine } = target
    if (engine !== 'pg' && engine !== 'neo4j' && engine !== 'redis') return []
    return [...urlFound(engine, target.url, [...path, 'url']), ...(engine === 'pg' ? pgPlace(path, target) : [])]
  })

function pgPlace(path: Path, target: Raw): Found[] {
  const pieces = ['host', 'port', 'database'].filter(key => target[key] !== undefined)
  if (target.url !== undefined)
    return pieces.map(key => ({
      path: [...path, key],
      message: 'stands beside a url, which says the same',
      hint: `leave out url or ${pieces.join(', ')}`,
    }))
  if (!pieces.length)
    return [{ path: [...path, 'url'], message: 'is missing', hint: 'write url: "${NAME}", or host:, port:, database:, user:, password:' }]
  return ['host', 'database']
    .filter(key => target[key] === undefined)
    .map(key => ({ path: [...path, key], message: 'is missing', hint: `write ${key}: …, or one url: in place of the pieces` }))
}

/** What can be said of a URL before its variables are known. */
function urlFound(kind: UrlKind, secret: unknown, path: Path): Found[] {
  const template = text(secret)
  if (template === undefined || template.startsWith('${')) return []
  const fault = template.includes('${') ? schemeFault(kind, template) : urlFault(kind, template)
  return fault ? [{ path, ...fault }] : []
}

const stores = (raw: Raw): Found[] =>
  entries(raw, 'stores').flatMap(([path, store]) => {
    const url = text(store.url)
    if (url === undefined) return []
    const at = [...path, 'url']
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]
    if (scheme !== 'file')
      return [
        {
          path: at,
          message: scheme ? `stores of the kind ${scheme}:// are not built` : 'is no URL of a store',
          hint: 'built is file:///absolute/folder',
        },
      ]
    const parsed = URL.parse(url)
    if (!parsed || parsed.host || !url.startsWith('file:///') || parsed.pathname === '/')
      return [{ path: at, message: 'names no absolute folder', hint: 'write three slashes: file:///var/backups/dbops' }]
    return []
  })

const windows = (raw: Raw): Found[] =>
  entries(raw, 'windows').flatMap(([path, window]) =>
    window.from !== undefined && window.from === window.to
      ? [
          {
            path: [...path, 'to'],
            message: `the window closes when it opens, at ${show(window.to)}`,
            hint: 'write another time; 22:00 to 06:00 goes over midnight',
          },
        ]
      : [],
  )

const blackouts = (raw: Raw, catalog: Catalog): Found[] =>
  list(raw.blackouts, ['blackouts']).flatMap(([path, blackout]) => {
    const zone = isZone(text(raw.zone) ?? 'UTC') ? (text(raw.zone) ?? 'UTC') : 'UTC'
    const [from, to] = (['from', 'to'] as const).map(key => {
      const at = text(blackout[key])
      return at === undefined || !/^\d{4}-\d\d-\d\d/.test(at) ? undefined : { key, at, instant: instantOf(at, zone) }
    })
    const unreal = [from, to]
      .filter(end => end && !end.instant)
      .map(end => ({ path: [...path, end!.key], message: `"${end!.at}" is no day of the calendar`, hint: 'write 2026-12-31T22:00' }))
    const turned = from?.instant && to?.instant && from.instant >= to.instant
    return [
      ...unreal,
      ...(turned
        ? [{ path: [...path, 'to'], message: `ends at ${to.at}, not after its beginning ${from.at}`, hint: 'exchange from and to' }]
        : []),
      ...names(blackout.targets).flatMap(([index, name]) => inSection(raw, 'targets', name, [...path, 'targets', index])),
      ...names(blackout.except).flatMap(([index, name]) => taskFault(name, catalog, [...path, 'except', index])),
    ]
  })

const dumps = (raw: Raw): Found[] =>
  entries(raw, 'dumps').flatMap(([path, dump]) => {
    const target = text(dump.target)
    const engine = target === undefined ? undefined : object(object(raw.targets)?.[target])?.engine
    const several = names(dump.stores).map(([, store]) => store)
    return [
      ...(target === undefined ? [] : inSection(raw, 'targets', target, [...path, 'target'])),
      ...(engine !== undefined && engine !== 'pg'
        ? [{ path: [...path, 'target'], message: `"${target}" is ${show(engine)}; a dump is of a pg target`, hint: pgTargets(raw) }]
        : []),
      ...names(dump.stores).flatMap(([index, name]) => inSection(raw, 'stores', name, [...path, 'stores', index])),
      ...(several.length > 1
        ? [
            {
              path: [...path, 'stores'],
              message: `more than one store per dump is not built: ${several.join(', ')}`,
              hint: `keep one: stores: [${several[0]}]`,
            },
          ]
        : []),
      ...names(dump.data).flatMap(([index, table], position, all) =>
        all.findIndex(([, other]) => other === table) < position
          ? [{ path: [...path, 'data', index], message: `"${table}" is listed twice`, hint: 'keep one' }]
          : [],
      ),
    ]
  })

const pgTargets = (raw: Raw): string => {
  const fitting = entries(raw, 'targets').flatMap(([path, target]) => (target.engine === 'pg' ? [String(path.at(-1))] : []))
  return fitting.length ? `name one of ${fitting.join(', ')}` : 'add a target with engine: pg'
}

const schedules = (raw: Raw, catalog: Catalog): Found[] =>
  entries(raw, 'schedules').flatMap(([path, schedule]) => {
    const name = text(schedule.task)
    const task = name === undefined ? undefined : catalog.tasks.find(known => known.name === name)
    return [
      ...(name === undefined || task ? [] : taskFault(name, catalog, [...path, 'task'])),
      ...cronFault(schedule, path, raw),
      ...windowFault(schedule, path, raw),
      ...(task ? [...workFaults(schedule, path, task, raw), ...timeFaults(schedule, path, task)] : targetNames(schedule, path, raw)),
    ]
  })

function cronFault(schedule: Raw, path: Path, raw: Raw): Found[] {
  const cron = text(schedule.cron)
  if (cron === undefined) return []
  const at = [...path, 'cron']
  const fault = checkCron(cron)
  if (fault) return [{ path: at, message: fault.found, hint: fault.hint }]
  const zone = [text(schedule.zone), text(raw.zone)].find(zone => zone !== undefined && isZone(zone)) ?? 'UTC'
  return nextSlot(cron, zone, new Date()) ? [] : [{ path: at, message: `"${cron}" never falls due`, hint: 'look at day and month' }]
}

function windowFault(schedule: Raw, path: Path, raw: Raw): Found[] {
  const short = text(schedule.window)
  if (short !== undefined) return inSection(raw, 'windows', short, [...path, 'window'])
  const name = text(object(schedule.window)?.name)
  return name === undefined ? [] : inSection(raw, 'windows', name, [...path, 'window', 'name'])
}

/** Parameters and targets, by the same rules as a command's. */
function workFaults(schedule: Raw, path: Path, task: TaskEntry, raw: Raw): Found[] {
  const config = { ...raw, targets: object(raw.targets) ?? {} } as unknown as ConfigFile
  const { found, target: carried } = checkParams(task, object(schedule.params) ?? {}, config)
  const params = found.map(fault => ({ ...fault, path: [...path, 'params', ...fault.path] }))
  if (schedule.target !== undefined && schedule.targets !== undefined)
    return [...params, { path: [...path, 'targets'], message: 'stands beside target', hint: 'keep one of target: and targets:' }]
  const one = text(schedule.target)
  const asked = one === undefined ? names(schedule.targets) : [[undefined, one] as const]
  if (!asked.length) {
    // Where a reference is broken it cannot be told whether it would have carried a target.
    const { errors } = found.length ? { errors: [] } : resolveTargets(task, [], carried, config)
    return [...params, ...errors.map(({ message, hint }) => ({ path: [...path, 'target'], message, hint }))]
  }
  return [
    ...params,
    ...asked.flatMap(([index, name]) =>
      resolveTargets(task, [name], carried, config).errors.map(({ message, hint }) => ({
        path: index === undefined ? [...path, 'target'] : [...path, 'targets', index],
        message,
        hint,
      })),
    ),
  ]
}

/** Of a schedule whose task is not known, only whether its targets are there can be said. */
const targetNames = (schedule: Raw, path: Path, raw: Raw): Found[] => [
  ...names([schedule.target]).flatMap(([, name]) => inSection(raw, 'targets', name, [...path, 'target'])),
  ...names(schedule.targets).flatMap(([index, name]) => inSection(raw, 'targets', name, [...path, 'targets', index])),
]

function timeFaults(schedule: Raw, path: Path, task: TaskEntry): Found[] {
  const timeout = milliseconds(schedule.timeout)
  const deadline = milliseconds(schedule.deadline)
  const zero = (['timeout', 'deadline'] as const).filter(key => milliseconds(schedule[key]) === 0)
  if (zero.length) return zero.map(key => ({ path: [...path, key], message: 'is no time at all', hint: 'write for example 30m' }))
  if (timeout === undefined && deadline === undefined) return []
  if ((timeout ?? parseDuration(task.timeout)) <= (deadline ?? parseDuration(task.deadline))) return []
  const words = `a timeout of ${text(schedule.timeout) ?? task.timeout} is longer than the deadline of ${text(schedule.deadline) ?? task.deadline}`
  return [
    {
      path: [...path, timeout === undefined ? 'deadline' : 'timeout'],
      message: words,
      hint: 'the deadline holds all attempts of a run: write a longer deadline',
    },
  ]
}

/** Every event stays seven days; a group that is waited for only as long would be waited for by nobody. */
const groups = (raw: Raw): Found[] =>
  entries(object(raw.streams) ?? {}, 'groups', ['streams']).flatMap(([path, group]) => {
    const maxLag = milliseconds(group.maxLag)
    return maxLag === undefined || maxLag > 7 * 86_400_000
      ? []
      : [
          {
            path: [...path, 'maxLag'],
            message: `${show(group.maxLag)} is not longer than the 7d that every event stays`,
            hint: 'write more than 7d',
          },
        ]
  })

const channels = (raw: Raw): Found[] =>
  entries(object(raw.alerts) ?? {}, 'channels', ['alerts']).flatMap(([path, channel]) =>
    channel.type === 'webhook' ? urlFound('webhook', channel.url, [...path, 'url']) : [],
  )

const routes = (raw: Raw): Found[] =>
  list(object(raw.alerts)?.routes, ['alerts', 'routes']).flatMap(([path, route]) => {
    const match = object(route.match) ?? {}
    return [
      ...names(route.to).flatMap(([index, name]) =>
        inSection(object(raw.alerts) ?? {}, 'channels', name, [...path, 'to', index], 'alerts.channels'),
      ),
      ...names(match.event).flatMap(([index, name]) =>
        isSignal(name)
          ? []
          : [
              {
                path: [...path, 'match', 'event', index],
                message: `"${name}" is no event`,
                hint: nearMiss(name, signalNames) ?? 'docs/subscribe.md lists the events',
              },
            ],
      ),
      ...names(match.target).flatMap(([index, name]) => inSection(raw, 'targets', name, [...path, 'match', 'target', index])),
    ]
  })

function taskFault(name: string, catalog: Catalog, path: Path): Found[] {
  const known = catalog.tasks.map(task => task.name)
  return known.includes(name)
    ? []
    : [{ path, message: `"${name}" is no task`, hint: nearMiss(name, known) ?? `tasks: ${known.join(', ')}` }]
}

function inSection(holder: Raw, section: string, name: string, path: Path, called = section): Found[] {
  const known = Object.keys(object(holder[section]) ?? {})
  return known.includes(name) ? [] : [{ path, ...unknownName(name, called, known) }]
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const object = (value: unknown): Raw | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Raw) : undefined
const show = (value: unknown): string => String(value)
const milliseconds = (value: unknown): number | undefined =>
  typeof value === 'string' && /^[0-9]+(ms|s|m|h|d)$/.test(value) ? parseDuration(value) : undefined

/** The entries of a section that are mappings, each with its path. */
const entries = (holder: Raw, section: string, above: Path = []): [Path, Raw][] =>
  Object.entries(object(holder[section]) ?? {}).flatMap(([name, value]) => {
    const entry = object(value)
    return entry ? [[[...above, section, name], entry] as [Path, Raw]] : []
  })
const list = (value: unknown, path: Path): [Path, Raw][] =>
  (Array.isArray(value) ? value : []).flatMap((item: unknown, index) => {
    const entry = object(item)
    return entry ? [[[...path, index], entry] as [Path, Raw]] : []
  })
/** The texts of a list, each with its index. */
const names = (value: unknown): [number, string][] =>
  (Array.isArray(value) ? value : []).flatMap((item: unknown, index) =>
    typeof item === 'string' ? [[index, item] as [number, string]] : [],
  )
