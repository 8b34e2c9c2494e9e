// The JSON Schema of the configuration file, for editors: the shape that the reader checks, with the tasks of the catalogue and their parameters in it.
import type { JsonSchema, TaskEntry } from '@dbops/catalog/catalog'
import { configFile } from '@dbops/contract/config-file'
import { z } from 'zod'

export function configSchema(tasks: TaskEntry[]): JsonSchema {
  const shape = z.toJSONSchema(configFile, { io: 'input' }) as JsonSchema
  const schedule = shape.properties!.schedules!.additionalProperties as JsonSchema
  if (tasks.length) {
    schedule.properties!.task = { type: 'string', enum: tasks.map(task => task.name), description: 'what is run' }
    schedule.allOf = tasks.map(withItsParams)
  }
  const { $schema, ...rest } = forEditors(shape) as JsonSchema
  return {
    $schema,
    $id: 'urn:axiom:dbops:config:v1',
    title: 'Axiom DB Ops configuration',
    description:
      'config/axiom.yaml: what is looked after, when, and who is told. Derived; the reader checks more (references, zones, cron).',
    ...rest,
  }
}

/** Where a schedule names this task, its `params` are this task's; and must be there when one of them has no default. */
function withItsParams(task: TaskEntry) {
  const { $schema: _, ...params } = task.params
  return {
    if: { properties: { task: { const: task.name } }, required: ['task'] },
    // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's own word; nobody awaits it
    then: {
      properties: { params: { ...params, description: task.summary } },
      ...(params.required?.length ? { required: ['params'] } : {}),
    },
  }
}

/** Our own words (`x-hint`, `x-ref`, `x-secret`) become the description that an editor shows: a strict validator refuses keywords that it does not know. */
function forEditors(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(forEditors)
  if (!value || typeof value !== 'object') return value
  const { 'x-hint': hint, 'x-ref': section, 'x-secret': secret, ...rest } = value as Record<string, unknown>
  const said = [rest.description, section && `the name of an entry of ${section as string}`, secret ? 'a secret' : undefined, hint].filter(
    Boolean,
  )
  const inner = Object.fromEntries(Object.entries(rest).map(([key, part]) => [key, forEditors(part)]))
  // `properties` may hold a key called description; only a schema's own is text.
  return said.length && (hint || section || secret) ? { ...inner, description: said.join('; ') } : inner
}
