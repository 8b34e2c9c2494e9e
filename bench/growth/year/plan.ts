// The platform's plan as often as it takes to have so many schedules: each copy has a target, dumps, purges and views of its own, and its minute is moved a little.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConfigFile, configFile } from '@dbops/contract/config-file'
import { parse } from 'yaml'

interface Entry {
  target?: string
  [key: string]: unknown
}
interface Schedule {
  cron?: string
  event?: string
  params?: Record<string, unknown>
  target?: string
  targets?: string[]
  [key: string]: unknown
}
interface Plan {
  targets: Record<string, Entry>
  dumps: Record<string, Entry>
  purges: Record<string, Entry>
  views: Record<string, Entry>
  schedules: Record<string, Schedule>
  [section: string]: unknown
}

const file = join(import.meta.dirname, '../../../config/axiom.yaml')
const platform = parse(readFileSync(file, 'utf8')) as Plan

/** The schedules of one copy, by their names. */
export const schedulesOfOne = platform.schedules

/** How many copies have at least so many schedules. */
export const copiesFor = (schedules: number): number => Math.ceil(schedules / Object.keys(schedulesOfOne).length)

/** The minute of a cron, moved by the copy's number: the copies would all be due in one second otherwise. */
export const minuteOf = (cron: string, copy: number): number => (Number(cron.split(' ')[0]) + copy) % 60

/** The configuration with that many copies. It is larger than the 1 MiB that a file may have, so no service could be started with it. */
export function planOf(copies: number): ConfigFile {
  const config = {
    version: 1,
    zone: platform['zone'],
    environment: 'bench',
    windows: platform['windows'],
    stores: { main: { url: 'file:///nowhere' } },
    targets: {} as Plan['targets'],
    dumps: {} as Plan['dumps'],
    purges: {} as Plan['purges'],
    views: {} as Plan['views'],
    schedules: {} as Plan['schedules'],
  }
  for (let copy = 0; copy < copies; copy++) {
    const named = (name: string) => `${name}-${copy}`
    config.targets[named('core')] = { engine: 'pg', url: 'postgres://127.0.0.1:1/nobody' }
    for (const section of ['dumps', 'purges', 'views'] as const)
      for (const [name, entry] of Object.entries(platform[section])) config[section][named(name)] = { ...entry, target: named('core') }
    for (const [name, schedule] of Object.entries(schedulesOfOne)) config.schedules[named(name)] = copied(schedule, copy, named)
  }
  return configFile.parse(config)
}

function copied({ cron, params = {}, targets, ...rest }: Schedule, copy: number, named: (name: string) => string): Schedule {
  const entry = (key: string, value: unknown) => (['policy', 'dump', 'group'].includes(key) ? named(String(value)) : value)
  return {
    ...rest,
    ...(cron ? { cron: [minuteOf(cron, copy), ...cron.split(' ').slice(1)].join(' ') } : {}),
    ...(targets ? { targets: targets.map(named) } : {}),
    params: Object.fromEntries(Object.entries(params).map(([key, value]) => [key, entry(key, value)])),
  }
}
