// Reads every declaration and writes all that follows from it: the catalogue, the schemas of the config and of the events, the reference pages, the rules for Prometheus.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Catalog } from '@dbops/catalog/catalog'
import type { Refusal } from '@dbops/catalog/refusals'
import { Problem } from '@dbops/contract/failure'
import { alertsOf, signalNames, signals } from '@dbops/contract/signals'
import type { Task } from '@dbops/contract/task'
import { z } from 'zod'
import { cliPage, readCommands } from './cli-page.ts'
import { configSchema } from './config-schema.ts'
import { readDeclarations } from './declarations.ts'
import { eventSchema } from './event-schemas.ts'
import { metricsOf } from './metrics.ts'
import { metricsPage } from './metrics-page.ts'
import { prometheusRules } from './prometheus-rules.ts'
import { eventsPage, probesPage, tasksPage } from './reference.ts'

/** A declaration from which nothing can be derived; the message has one line for each, with its file and the mend. */
export class DeriveRefused extends Problem {
  readonly refusals: Refusal[]
  constructor(refusals: Refusal[]) {
    super(refusals.map(({ file, found, hint }) => `${file}: ${found}. Hint: ${hint}`).join('\n'))
    this.refusals = refusals
  }
}

export interface Derived {
  /** Files that were written or removed, relative to the root; none under `check`. */
  written: string[]
  /** Files that differ from what follows from the declarations; none after writing. */
  stale: string[]
}

const events = 'libs/shared/catalog/events'

/**
 * Derives under `root` (default: this repository). `check` compares only.
 * Throws `DeriveRefused` with all that is wrong with the declarations; nothing is written then.
 */
export async function derive({ check = false, root = fileURLToPath(new URL('..', import.meta.url)) } = {}): Promise<Derived> {
  const { tasks, probes, channels, refusals } = await readDeclarations(root)
  if (refusals.length) throw new DeriveRefused(refusals)
  const catalog: Catalog = {
    tasks: tasks.map(taskEntry),
    probes: probes.map(({ name, summary, every, emits, tells, result }) => ({
      name,
      engine: name.split('.')[0]!,
      summary,
      every,
      emits,
      tells: [...tells],
      result: z.toJSONSchema(result) as Catalog['probes'][number]['result'],
    })),
    signals: signalNames.map(name => {
      const { opens, resolves } = alertsOf(name)
      return {
        name,
        severity: signals[name].severity,
        summary: signals[name].summary,
        ...(opens ? { opens } : {}),
        resolves: [...resolves],
      }
    }),
    channels,
  }
  const files: Record<string, string> = {
    'libs/shared/catalog/catalog.json': pretty(catalog),
    'config/dbops.schema.json': pretty(configSchema(catalog.tasks)),
    ...Object.fromEntries(signalNames.map(name => [`${events}/${name}.v1.json`, pretty(eventSchema(name))])),
    'docs/reference/tasks.md': tasksPage(catalog),
    'docs/reference/probes.md': probesPage(catalog),
    'docs/reference/events.md': eventsPage(catalog),
    'docs/reference/cli.md': cliPage(await readCommands(root)),
    'docs/reference/metrics.md': metricsPage(metricsOf(probes, root), catalog),
    'deploy/prometheus/rules.yml': prometheusRules(catalog),
  }
  const stale = Object.keys(files).filter(file => read(join(root, file)) !== files[file])
  // A signal that is gone takes its schema with it.
  const left = list(join(root, events))
    .map(name => `${events}/${name}`)
    .filter(file => !(file in files))
  if (check) return { written: [], stale: [...stale, ...left] }
  for (const file of stale) replace(join(root, file), files[file]!)
  for (const file of left) rmSync(join(root, file))
  return { written: [...stale, ...left], stale: [] }
}

const taskEntry = (task: Task): Catalog['tasks'][number] => ({
  name: task.name,
  engine: task.engine,
  summary: task.summary,
  lane: task.lane,
  locks: task.locks,
  timeout: task.timeout,
  deadline: task.deadline,
  retry: task.retry,
  attempts: task.attempts,
  effect: task.effect,
  emits: { succeeded: [...task.emits.succeeded], failed: task.emits.failed },
  on: task.on,
  approval: task.approval,
  produces: task.produces,
  recovers: Boolean(task.recover ?? task.produces),
  plans: Boolean(task.plan),
  params: z.toJSONSchema(task.params, { io: 'input' }) as Catalog['tasks'][number]['params'],
  result: z.toJSONSchema(task.result) as Catalog['tasks'][number]['result'],
})

const pretty = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** By rename, so that a service that starts meanwhile reads the old file or the new one, never half of it. */
function replace(path: string, text: string) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}
