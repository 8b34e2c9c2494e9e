// What the program can do, as data: tasks, probes, signals and channels as `tools/derive.ts` wrote them down. No app is imported to read it.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { SignalName } from '@dbops/contract/signals'
import type { Effect, Lane, Retry } from '@dbops/contract/task'
import { z } from 'zod'

export interface TaskEntry {
  name: string
  engine: string
  summary: string
  lane: Lane
  locks: { shared: string[]; exclusive: string[] }
  timeout: string
  deadline: string
  retry: Retry
  attempts: number
  effect: Effect
  emits: { succeeded: [SignalName, ...SignalName[]]; failed: SignalName }
  on: 'target' | 'artifact' | 'none'
  approval: 'never' | 'always'
  produces: string | null
  /** Whether it puts the world back after a lost attempt (its own `recover`, or the built-in one of what `produces`). */
  recovers: boolean
  plans: boolean
  /** JSON Schema, draft 2020-12. */
  params: JsonSchema
  result: JsonSchema
}
export interface ProbeEntry {
  name: string
  engine: string
  summary: string
  every: string
  emits: { failed: SignalName; recovered: SignalName }
  tells: SignalName[]
  /** JSON Schema of a reading. */
  result: JsonSchema
}
export interface Catalog {
  tasks: TaskEntry[]
  probes: ProbeEntry[]
  signals: { name: SignalName; severity: string; summary: string; opens?: string; resolves: string[] }[]
  channels: string[]
}
export type JsonSchema = { [key: string]: unknown; properties?: Record<string, JsonSchema>; required?: string[] }

const text = readFileSync(new URL('../catalog.json', import.meta.url), 'utf8')
export const catalog = JSON.parse(text) as Catalog

/** Twelve hex digits over the whole catalogue: two processes with the same hash know the same tasks. */
export const catalogHash = createHash('sha256').update(text).digest('hex').slice(0, 12)

export const taskNamed = (name: string): TaskEntry | undefined => catalog.tasks.find(task => task.name === name)

/** A task's parameters as a zod schema, brought back from its JSON Schema. */
export const paramsOf = (task: TaskEntry): z.ZodType<Record<string, unknown>> =>
  z.fromJSONSchema(task.params) as z.ZodType<Record<string, unknown>>

/** The config section that a parameter names an entry of; undefined for a plain one. */
export const refOf = (task: TaskEntry, param: string): string | undefined =>
  task.params.properties?.[param]?.['x-ref'] as string | undefined

/** Whether a parameter only says how the work goes (`how`). */
export const isHow = (task: TaskEntry, param: string): boolean => task.params.properties?.[param]?.['x-how'] === true
