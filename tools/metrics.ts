// Every metric that the system shows, with its labels: of a probe by giving its functions a reading of the declared shape, of a service by the place where its source names it.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Gauge, Probe } from '@dbops/contract/task'
import { z } from 'zod'

export interface Metric {
  name: string
  kind: 'gauge' | 'counter' | 'histogram'
  /** Empty for that of a probe. */
  help: string
  /** Beside `app`, and beside `engine` and `target` of what a probe reads. */
  labels: string[]
  /** The probe that reads it, or the project that counts it. */
  from: string
  /** A name of others, left out where `metrics.compat` is off. */
  compat: boolean
}

/** Of the probes in their order, then of the services; each sorted by name. */
export const metricsOf = (probes: Probe[], root: string): Metric[] => [
  ...probes.flatMap(probe => byName(probeMetrics(probe))),
  ...byName(serviceMetrics(root)),
]

const byName = (metrics: Metric[]) =>
  [...new Map(metrics.map(one => [one.name, one])).values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))

function probeMetrics(probe: Probe): Metric[] {
  const reading = sampleOf(z.toJSONSchema(probe.result) as Schema) as Record<string, unknown>
  const metric = (name: string, value: Gauge, compat: boolean): Metric => ({
    name,
    kind: 'gauge',
    help: '',
    labels: [...new Set((Array.isArray(value) ? value : []).flatMap(({ labels }) => Object.keys(labels)))],
    from: probe.name,
    compat,
  })
  return [
    ...Object.entries(probe.gauges(reading)).map(([name, value]) => metric(`dbops_${name}`, value, false)),
    ...Object.entries(probe.compat(reading)).map(([name, value]) => metric(name, value, true)),
  ]
}

/** `metrics.gauge('name', 'help', ['label', …])` as it stands in the sources; the labels may also be a constant of the file. */
const declared = /\.(gauge|counter|histogram)\(\s*'((?:dbops|axiom)_\w+)',\s*'([^']+)',\s*(\[[^\]]*\]|\w+)/g

function serviceMetrics(root: string): Metric[] {
  const folders = ['apps', 'libs/shared'].flatMap(folder => list(join(root, folder)).map(name => `${folder}/${name}/src`))
  return folders.flatMap(folder =>
    list(join(root, folder), true)
      // Not where metrics are made: an example stands there.
      .filter(file => file.endsWith('.ts') && file !== 'metrics.ts')
      .flatMap(file => {
        const text = readFileSync(join(root, folder, file), 'utf8')
        return [...text.matchAll(declared)].map(([, kind, name, help, labels]): Metric => {
          const words = labels!.startsWith('[') ? labels! : (new RegExp(`const ${labels} = (\\[[^\\]]*\\])`).exec(text)?.[1] ?? '[]')
          return {
            name: name!,
            kind: kind as Metric['kind'],
            help: help!,
            labels: [...words.matchAll(/'(\w+)'/g)].map(([, word]) => word!),
            from: folder.split('/').at(-2)!,
            compat: !name!.startsWith('dbops_'),
          }
        })
      }),
  )
}

function list(folder: string, recursive = false): string[] {
  try {
    return readdirSync(folder, { recursive, encoding: 'utf8' }).toSorted()
  } catch {
    return []
  }
}

interface Schema {
  type?: string
  enum?: unknown[]
  const?: unknown
  format?: string
  anyOf?: Schema[]
  oneOf?: Schema[]
  items?: Schema
  prefixItems?: Schema[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema | boolean
  $ref?: string
}

/** A value of the shape: one element in each list and record, whatever may be null is there. */
function sampleOf(schema: Schema): unknown {
  if ('const' in schema) return schema.const
  if (schema.enum) return schema.enum[0]
  const either = schema.anyOf ?? schema.oneOf
  if (either) return sampleOf(either.find(({ type }) => type !== 'null') ?? either[0]!)
  switch (schema.type) {
    case 'object': {
      const named = Object.entries(schema.properties ?? {}).map(([name, inner]): [string, unknown] => [name, sampleOf(inner)])
      const { additionalProperties: more } = schema
      return Object.fromEntries(typeof more === 'object' ? [...named, ['one', sampleOf(more)]] : named)
    }
    case 'array':
      return schema.prefixItems ? schema.prefixItems.map(sampleOf) : schema.items ? [sampleOf(schema.items)] : []
    case 'integer':
    case 'number':
      return 1
    case 'boolean':
      return true
    case 'string':
      return schema.format === 'date-time' ? '2026-01-01T00:00:00Z' : 'a.b'
    default:
      return null
  }
}
