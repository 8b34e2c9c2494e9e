// Reads a configuration as a service would, and says what is wrong with it; or when each of its schedules is due next.
import { join } from 'node:path'
import { nearMiss } from '@dbops/contract/names'
import { nextSlot } from '@dbops/contract/slots'
import { type Config, checkConfig } from '@dbops/runtime/config'
import { type App, apps, resolveFor } from '@dbops/runtime/config-owners'
import { type ConfigError, ConfigProblem } from '@dbops/runtime/config-problem'
import type { Context } from './command.ts'
import { exits } from './exits.ts'
import { Failed } from './fail.ts'
import { homeOfUp, root } from './home.ts'

export interface NextSlots {
  schedule: string
  /** The next five, ISO 8601 in UTC; fewer where there are no more. */
  slots: string[]
  /** In place of slots: it is due when this comes. */
  event?: string
}

export async function checkConfigFile({ args, options, print }: Context): Promise<number> {
  const file = (args[0] as string | undefined) ?? options.config ?? join(root, 'config/sample.yaml')
  const app = appNamed(options['resolve'])
  // `up` sets it to this; a plan of the sample's kind keeps its stores there.
  const env = { DBOPS_HOME: homeOfUp(), ...process.env }
  const { config, errors: found } = checkConfig(file, { env })
  const errors = [...found, ...(config && app ? resolveFor(app, config, env) : [])]
  const next = config ? nextSlots(config, new Date()) : []
  print.record({ ok: !errors.length, errors, next })
  if (print.json) return errors.length ? exits.wrong : exits.done
  if (errors.length) throw new ConfigProblem(errors as [ConfigError, ...ConfigError[]])
  print.environment(config?.environment, `${file} is right${app ? `, and ${app} can open its secrets` : ''}`)
  print.line()
  print.rows(
    next,
    [
      { head: 'schedule', of: ({ schedule }) => schedule },
      { head: 'task', of: ({ schedule }) => config?.schedules[schedule]?.task },
      { head: 'zone', of: ({ schedule }) => zoneOf(config!, schedule) },
      { head: 'due next', of: next => dueWords(next, config!) },
    ],
    'no schedules',
  )
  return exits.done
}

/** Fails with exit 2 for what is no service. */
export function appNamed(given: unknown): App | undefined {
  const app = given as string | undefined
  if (app === undefined || isApp(app)) return app
  throw new Failed('wrong', `"${app}" is no service`, { hint: nearMiss(app, apps) ?? `services: ${apps.join(', ')}` })
}
const isApp = (word: string): word is App => (apps as readonly string[]).includes(word)

const nextSlots = (config: Config, now: Date): NextSlots[] =>
  Object.entries(config.schedules)
    .filter(([, { enabled }]) => enabled)
    .map(([schedule, { cron, event }]) => {
      const slots: Date[] = []
      if (cron === undefined) return { schedule, slots: [], ...(event ? { event } : {}) }
      for (let slot = nextSlot(cron, zoneOf(config, schedule), now); slot && slots.length < 5; ) {
        slots.push(slot)
        slot = nextSlot(cron, zoneOf(config, schedule), slot)
      }
      return { schedule, slots: slots.map(slot => slot.toISOString()) }
    })

function dueWords({ schedule, slots, event }: NextSlots, config: Config): string {
  const { debounce } = config.schedules[schedule]!
  if (event) return `when ${event} comes${debounce ? `, ${debounce} after the first` : ''}`
  return slots.map(slot => local(slot, zoneOf(config, schedule))).join('  ') || 'never'
}

const zoneOf = (config: Config, schedule: string): string => config.schedules[schedule]?.zone ?? config.zone

/** `11-25 02:30:00`, in the schedule's zone. */
const local = (iso: string, zone: string) => new Date(iso).toLocaleString('sv', { timeZone: zone }).slice('2026-'.length)
