// What one part of the configuration says of another, of the catalogue, of zones and of time: names that must exist, numbers that must agree.
import type { Catalog } from '@dbops/catalog/catalog'
import { conditionFault } from '@dbops/contract/condition'
import { configFile, operatingHours } from '@dbops/contract/config-file'
import { duration, parseDuration } from '@dbops/contract/duration'
import { instantOf } from '@dbops/contract/local-time'
import { nearMiss } from '@dbops/contract/names'
import { alertsOf, isSignal, signalNames } from '@dbops/contract/signals'
import { isZone } from '@dbops/contract/slots'
import type { Found, Path } from './config-problem.ts'
import { checkSchedules } from './config-schedules.ts'
import { entries, fault, inCatalog, inSection, list, object, type Raw, text, words } from './config-sections.ts'
import { schemeFault, type UrlKind, urlFault } from './connection.ts'

/** Everything that does not agree. `raw` is the file as written, variables filled in; it may be wrong in other ways too. */
export const checkReferences = (raw: Raw, catalog: Catalog): Found[] =>
  [
    zones,
    timers,
    services,
    targets,
    stores,
    windows,
    blackouts,
    dumps,
    ofTargets,
    purges,
    pools,
    ingest,
    checkSchedules,
    groups,
    channels,
    routes,
    policies,
  ].flatMap(check => check(raw, catalog))

const zones = (raw: Raw): Found[] =>
  [[[], raw] as [Path, Raw], ...entries(raw, 'windows'), ...entries(raw, 'schedules')].flatMap(([path, { zone }]) => {
    if (typeof zone !== 'string' || isZone(zone)) return []
    const hint = nearMiss(zone, Intl.supportedValuesOf('timeZone')) ?? 'write an IANA zone such as Asia/Seoul, Europe/Berlin or UTC'
    return [fault([...path, 'zone'], `"${zone}" is no time zone`, hint)]
  })

/** The protocol's own rule: a lease has room for four heartbeats, so that three lost ones take no work away. */
function timers(raw: Raw): Found[] {
  const parsed = configFile.shape.timers.safeParse(raw.timers ?? {})
  if (!parsed.success) return []
  const { heartbeat, lease } = parsed.data
  const zero = Object.entries(parsed.data).filter(([, value]) => parseDuration(value) === 0)
  if (zero.length) return zero.map(([key]) => fault(['timers', key], 'is no time at all', 'write for example 5s'))
  const shortest = 4 * parseDuration(heartbeat)
  if (parseDuration(lease) >= shortest) return []
  const key = object(raw.timers)?.lease === undefined ? 'heartbeat' : 'lease'
  const least = shortest % 1000 ? `${shortest}ms` : `${shortest / 1000}s`
  return [
    fault(
      ['timers', key],
      `a lease of ${lease} is less than 4 heartbeats of ${heartbeat}`,
      `lease: ${least} or more, or a shorter heartbeat`,
    ),
  ]
}

function services(raw: Raw): Found[] {
  const ledger = object(raw.ledger)?.url
  const shared = entries(raw, 'targets').find(([, { url }]) => typeof url === 'string' && url === ledger)
  const hint = 'give the ledger a database of its own: it must answer while a target does not'
  return [
    ...(shared ? [fault(['ledger', 'url'], `is the database of the target "${shared[0].at(-1)}"`, hint)] : []),
    ...url('pg', ledger, ['ledger', 'url']),
    ...url('redis', object(raw.redis)?.url, ['redis', 'url']),
  ]
}

const targets = (raw: Raw): Found[] =>
  entries(raw, 'targets').flatMap(([path, target]) => {
    const { engine } = target
    if (engine !== 'pg' && engine !== 'neo4j' && engine !== 'redis') return []
    return [...url(engine, target.url, [...path, 'url']), ...(engine === 'pg' ? pgPlace(path, target) : [])]
  })

function pgPlace(path: Path, target: Raw): Found[] {
  const pieces = ['host', 'port', 'database'].filter(key => target[key] !== undefined)
  if (target.url !== undefined)
    return pieces.map(key => fault([...path, key], 'stands beside a url, which says the same', `leave out url or ${pieces.join(', ')}`))
  if (!pieces.length) return [fault([...path, 'url'], 'is missing', 'write url: "${NAME}", or host:, port:, database:, user:, password:')]
  return ['host', 'database']
    .filter(key => target[key] === undefined)
    .map(key => fault([...path, key], 'is missing', `write ${key}: …, or one url: in place of the pieces`))
}

/** What can be said of a URL before its variables are known. */
function url(kind: UrlKind, secret: unknown, path: Path): Found[] {
  const template = text(secret)
  if (template === undefined || template.startsWith('${')) return []
  const wrong = template.includes('${') ? schemeFault(kind, template) : urlFault(kind, template)
  return wrong ? [{ path, ...wrong }] : []
}

const stores = (raw: Raw): Found[] =>
  entries(raw, 'stores').flatMap(([path, store]) => {
    const url = text(store.url)
    if (url === undefined) return []
    const at = [...path, 'url']
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]
    if (scheme === undefined) return [fault(at, 'is no URL of a store', 'write file:///absolute/folder')]
    if (scheme !== 'file') return [fault(at, `stores of the kind ${scheme}:// are not built yet`, 'write file:///absolute/folder')]
    const absolute = url.startsWith('file:///') && (URL.parse(url)?.pathname ?? '/') !== '/'
    return absolute ? [] : [fault(at, 'names no absolute folder', 'write three slashes: file:///var/backups/dbops')]
  })

/** Of its condition only the text: whether the columns are there, the server says to each run. */
const purges = (raw: Raw): Found[] =>
  entries(raw, 'purges').flatMap(([path, purge]) => {
    const where = text(purge.where)
    const wrong = where === undefined ? undefined : conditionFault(where)
    return wrong ? [fault([...path, 'where'], wrong.found, wrong.hint)] : []
  })

const pools = (raw: Raw): Found[] =>
  entries(raw, 'pools')
    .filter(([, { match }]) => object(match) && !Object.keys(object(match)!).length)
    .map(([path]) => fault([...path, 'match'], 'every session would be of this pool', 'write application_name:, user: or database:'))

const windows = (raw: Raw): Found[] =>
  entries(raw, 'windows')
    .filter(([, { from, to }]) => typeof from === 'string' && from === to)
    .map(([path, { to }]) =>
      fault([...path, 'to'], `the window closes when it opens, at ${text(to)}`, 'write another time; 22:00 to 06:00 goes over midnight'),
    )

const blackouts = (raw: Raw, catalog: Catalog): Found[] =>
  list(raw.blackouts, ['blackouts']).flatMap(([path, blackout]) => [
    ...turned(path, blackout, [text(raw.zone)].find(zone => zone !== undefined && isZone(zone)) ?? 'UTC'),
    ...words(blackout.targets, [...path, 'targets']).flatMap(([at, name]) => inSection(raw, 'targets', name, at)),
    ...words(blackout.except, [...path, 'except']).flatMap(([at, name]) => inCatalog(catalog, name, at)),
  ])

/** Days that are in no calendar, and an end that is not after its beginning. */
function turned(path: Path, blackout: Raw, zone: string): Found[] {
  const ends = (['from', 'to'] as const).flatMap(key => {
    const written = text(blackout[key])
    return written !== undefined && /^\d{4}-\d\d-\d\d/.test(written) ? [{ key, written, instant: instantOf(written, zone) }] : []
  })
  const unreal = ends.filter(({ instant }) => !instant)
  if (unreal.length)
    return unreal.map(({ key, written }) => fault([...path, key], `"${written}" is no day of the calendar`, 'write 2026-12-31T22:00'))
  const [from, to] = ends
  if (!from?.instant || !to?.instant || from.instant < to.instant) return []
  return [fault([...path, 'to'], `ends at ${to.written}, not after its beginning ${from.written}`, 'exchange from and to')]
}

const dumps = (raw: Raw): Found[] =>
  entries(raw, 'dumps').flatMap(([path, dump]) => {
    const target = text(dump.target)
    const stores = words(dump.stores, [...path, 'stores'])
    const tables = words(dump.data, [...path, 'data'])
    const named = stores.map(([, store]) => store).join(', ')
    return [
      ...ofEngine(raw, 'pg', target, [...path, 'target']),
      ...stores.flatMap(([at, name]) => inSection(raw, 'stores', name, at)),
      ...(stores.length > 1
        ? [fault([...path, 'stores'], `more than one store per dump is not built: ${named}`, `keep one: stores: [${stores[0]![1]}]`)]
        : []),
      ...tables
        .filter(([, table], position) => tables.findIndex(([, other]) => other === table) < position)
        .map(([at, table]) => fault(at, `"${table}" is listed twice`, 'keep one')),
    ]
  })

/** Sections whose entries are of one target of a certain engine. */
const ofTargets = (raw: Raw, catalog: Catalog): Found[] => [
  ...['purges', 'views', 'pools'].flatMap(section =>
    entries(raw, section).flatMap(([path, entry]) => ofEngine(raw, 'pg', text(entry.target), [...path, 'target'])),
  ),
  ...entries(raw, 'ingest').flatMap(([path, entry]) => ofEngine(raw, 'redis', text(entry.target), [...path, 'target'])),
  ...entries(raw, 'views').flatMap(([path, group]) => inSection(raw, 'windows', text(group.window), [...path, 'window'])),
  ...entries(raw, 'purges').flatMap(([path, purge]) => toldByPurge(catalog, text(purge.event), [...path, 'event'])),
]

/** A purge tells one of the events that its task may tell. */
function toldByPurge(catalog: Catalog, event: string | undefined, path: Path): Found[] {
  const told: string[] = catalog.tasks.find(({ name }) => name === 'pg.purge')?.emits.succeeded ?? []
  if (event === undefined || !told.length || told.includes(event)) return []
  return [fault(path, `"${event}" is no event of pg.purge`, nearMiss(event, told) ?? `it tells ${told.join(' or ')}`)]
}

/** Events that nobody knows, and two entries that would take each other's share of one stream. */
function ingest(raw: Raw): Found[] {
  const all = entries(raw, 'ingest')
  const place = ({ target, stream, group }: Raw) => [text(target), text(stream), text(group) ?? 'dbops'].join(' ')
  return all.flatMap(([path, entry], position) => {
    const first = all.findIndex(([, other]) => place(other) === place(entry))
    return [
      ...words(entry.keep, [...path, 'keep']).flatMap(([at, name]) =>
        isSignal(name) ? [] : [fault(at, `"${name}" is no event`, nearMiss(name, signalNames) ?? 'docs/reference/events.md lists them')],
      ),
      ...(first < position
        ? [
            fault(
              [...path, 'group'],
              `reads the same stream in the same group as ${String(all[first]![0].at(-1))}`,
              'each would get a part of the entries: make one entry of them, or name another group',
            ),
          ]
        : []),
    ]
  })
}

function ofEngine(raw: Raw, engine: string, name: string | undefined, path: Path): Found[] {
  const all = entries(raw, 'targets')
  const found = text(all.find(([at]) => at.at(-1) === name)?.[1].engine)
  if (found === undefined) return inSection(raw, 'targets', name, path)
  if (found === engine) return []
  const fitting = all.filter(([, target]) => target.engine === engine).map(([at]) => at.at(-1))
  const hint = fitting.length ? `name one of ${fitting.join(', ')}` : `add a target with engine: ${engine}`
  return [fault(path, `"${name}" is ${found}; ${path[0]} are of ${engine} targets`, hint)]
}

const ownGroups = ['alert-relay', 'scheduler']

/** Every event stays seven days; a group that is waited for only as long would be waited for by nobody. */
const groups = (raw: Raw): Found[] =>
  entries(object(raw.streams), 'groups', ['streams']).flatMap(([path, group]) => {
    const name = String(path.at(-1))
    if (ownGroups.includes(name)) return [fault(path, `"${name}" is a group of our own`, 'name the reader after its service')]
    const maxLag = duration.safeParse(group.maxLag).data
    if (maxLag === undefined || parseDuration(maxLag) > parseDuration('7d')) return []
    return [fault([...path, 'maxLag'], `${maxLag} is not longer than the 7d that every event stays`, 'write more than 7d')]
  })

const channels = (raw: Raw): Found[] =>
  entries(object(raw.alerts), 'channels', ['alerts'])
    .filter(([, channel]) => channel.type === 'webhook')
    .flatMap(([path, channel]) => url('webhook', channel.url, [...path, 'url']))

const routes = (raw: Raw): Found[] => {
  const alerts = object(raw.alerts)
  return list(alerts?.routes, ['alerts', 'routes']).flatMap(([path, route]) => {
    const match = object(route.match) ?? {}
    return [
      ...words(route.to, [...path, 'to']).flatMap(([at, name]) => inSection(alerts, 'channels', name, at, 'alerts.channels')),
      ...words(match.event, [...path, 'match', 'event']).flatMap(([at, name]) => opensAlert(name, at)),
      ...words(match.target, [...path, 'match', 'target']).flatMap(([at, name]) => inSection(raw, 'targets', name, at)),
    ]
  })
}

/** The hours of the policy need no window in the file; any other name does. */
const policies = (raw: Raw): Found[] => {
  const named = text(object(object(raw.policies)?.['forbid-vacuum-full'])?.window)
  return named === operatingHours ? [] : inSection(raw, 'windows', named, ['policies', 'forbid-vacuum-full', 'window'])
}

/** A route is asked for alerts alone, so an event that opens none would wait in vain. */
function opensAlert(name: string, path: Path): Found[] {
  const opening = signalNames.filter(signal => alertsOf(signal).opens)
  if (!isSignal(name))
    return [fault(path, `"${name}" is no event`, nearMiss(name, opening) ?? `alerts are opened by ${opening.join(', ')}`)]
  return alertsOf(name).opens ? [] : [fault(path, `"${name}" opens no alert`, `alerts are opened by ${opening.join(', ')}`)]
}
