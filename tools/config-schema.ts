// The JSON Schema of the configuration file, for editors: the shape that the reader checks, with the tasks of the catalogue and their parameters in it.
import type { JsonSchema, TaskEntry } from '@dbops/catalog/catalog'
import { configFile } from '@dbops/contract/config-file'
import { z } from 'zod'

export function configSchema(tasks: TaskEntry[]): JsonSchema {
  const { $schema, ...shape } = forEditors(z.toJSONSchema(configFile, { io: 'input' }) as JsonSchema)
  const schedule = shape.properties!.schedules!.additionalProperties as JsonSchema
  if (tasks.length) {
    schedule.properties!.task = { type: 'string', enum: tasks.map(task => task.name), description: 'what is run' }
    schedule.allOf = tasks.map(withItsParams)
  }
  return {
    $schema,
    $id: 'urn:axiom:dbops:config:v1',
    title: 'Axiom DB Ops configuration',
    description: 'What is looked after, when, and who is told. `./dbops config check` checks more: references, zones, cron, secrets.',
    ...shape,
  }
}

/** Where a schedule names this task, its `params` are this task's; and must be there when one of them has no default. */
function withItsParams(task: TaskEntry) {
  const { $schema: _, ...params } = forEditors(task.params)
  return {
    if: { properties: { task: { const: task.name } }, required: ['task'] },
    // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's own word; nobody awaits it
    then: {
      properties: { params: { ...params, description: task.summary } },
      ...(params.required?.length ? { required: ['params'] } : {}),
    },
  }
}

const variable = '\\$\\{'
const asTheyAre = new Set(['default', 'const', 'enum', 'required'])

/** A schema of ours as an editor wants it, all the way down. */
function forEditors(schema: JsonSchema): JsonSchema {
  const inside = (part: unknown): unknown =>
    Array.isArray(part) ? part.map(inside) : part && typeof part === 'object' ? forEditors(part as JsonSchema) : part
  const inner = Object.entries(schema).map(([key, part]) => {
    if (asTheyAre.has(key)) return [key, part]
    // Keys are never filled in, so a variable may not stand there.
    if (key === 'propertyNames') return [key, inOneDescription(part as JsonSchema)]
    if (key !== 'properties') return [key, inside(part)]
    return [key, Object.fromEntries(Object.entries(part as object).map(([name, property]) => [name, inside(property)]))]
  })
  return orVariable(inOneDescription(Object.fromEntries(inner)))
}

/** Our own words become the description that an editor shows: a strict validator refuses keywords that it does not know. */
function inOneDescription(schema: JsonSchema): JsonSchema {
  const { 'x-hint': hint, 'x-ref': section, 'x-secret': secret, description } = schema
  const rest = Object.fromEntries(Object.entries(schema).filter(([key]) => !key.startsWith('x-') && key !== 'description'))
  const said = [description, section ? `the name of an entry of ${section as string}` : undefined, secret ? 'a secret' : undefined, hint]
  return { ...rest, ...(said.some(Boolean) ? { description: said.filter(Boolean).join('; ') } : {}) }
}

/** The reader fills `${NAME}` in before it checks, so it may stand where a number, a word or a pattern is wanted. */
function orVariable(schema: JsonSchema): JsonSchema {
  const { type, enum: words, pattern, ...rest } = schema
  if ('const' in schema) return schema
  if (Array.isArray(words))
    return {
      ...rest,
      anyOf: [
        { type, enum: words },
        { type: 'string', pattern: variable },
      ],
    }
  if (type === 'integer' || type === 'number' || type === 'boolean') return { ...rest, type: [type, 'string'], pattern: variable }
  return typeof pattern === 'string' ? { ...schema, pattern: `${pattern}|${variable}` } : schema
}
