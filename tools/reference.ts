// The derived pages of docs/reference: tasks, probes and events as short tables, for reading and for searching at night.
import type { Catalog, JsonSchema, TaskEntry } from '@dbops/catalog/catalog'
import { signals } from '@dbops/contract/signals'

const derived = '<!-- Derived by `./dbops derive` from the declarations; edit those. -->'

export const tasksPage = ({ tasks }: Catalog) =>
  page(
    'Tasks',
    'Everything that can be scheduled or started by hand. `./dbops run TASK --help` shows the same at the command line.',
    table(
      ['Task', 'What it does', 'Effect', 'Lane', 'Timeout', 'Deadline'],
      tasks.map(task => [`[${task.name}](#${anchor(task.name)})`, task.summary, task.effect, task.lane, task.timeout, task.deadline]),
    ),
    ...tasks.map(taskSection),
  )

const taskSection = (task: TaskEntry) =>
  [
    `## ${task.name}`,
    `${task.summary}.`,
    table(['Parameter', 'Value', 'Default', 'Meaning'], parameterRows(task.params)) || 'No parameters.',
    [
      `* Locks on its target: ${[...task.locks.shared.map(lock => `\`${lock}\` (shared)`), ...task.locks.exclusive.map(lock => `\`${lock}\` (exclusive)`)].join(', ') || 'none'}.`,
      `* One attempt lasts at most ${task.timeout}, a run with its waits and retries at most ${task.deadline}; ${task.attempts} ${task.attempts === 1 ? 'attempt' : 'attempts'}, retry: ${task.retry}.`,
      `* Tells ${[...task.emits.succeeded].map(eventLink).join(' or ')}; ${eventLink(task.emits.failed)} when it ends badly.`,
      ...(task.produces ? [`* Leaves an artifact of the kind \`${task.produces}\` in a store.`] : []),
      ...(task.recovers ? ['* Cleans up after an attempt that was lost.'] : []),
      ...(task.plans ? ['* `--dry-run` shows what it would do.'] : []),
    ].join('\n'),
  ].join('\n\n')

export const probesPage = ({ probes }: Catalog) =>
  page(
    'Probes',
    'Readings of a target that are taken all the time, once per target however many replicas run; an event goes out only when the state changes.',
    table(
      ['Probe', 'What it looks at', 'Every', 'Tells'],
      probes.map(probe => [
        probe.name,
        probe.summary,
        probe.every,
        `${eventLink(probe.emits.failed)}, ${eventLink(probe.emits.recovered)}`,
      ]),
    ),
  )

export const eventsPage = (catalog: Catalog) =>
  page(
    'Events',
    'What goes out on `dbops:events`, each a CloudEvent of the type `io.axiom.dbops.<name>.v1`; the schemas are in `libs/shared/catalog/events/`.',
    table(
      ['Event', 'Level', 'Meaning', 'Alert', 'Data', 'From'],
      catalog.signals.map(({ name, severity, summary, opens, resolves }) => [
        name,
        severity,
        summary,
        [opens ? 'opens one' : '', resolves.length ? `resolves ${resolves.join(', ')}` : ''].filter(Boolean).join('; '),
        Object.keys(signals[name].data.shape).join(', '),
        senders(catalog, name).join(', ') || 'the services',
      ]),
    ),
  )

const senders = ({ tasks, probes }: Catalog, name: string) => [
  ...tasks.filter(({ emits }) => emits.failed === name || emits.succeeded.some(event => event === name)).map(task => task.name),
  ...probes.filter(({ emits }) => emits.failed === name || emits.recovered === name).map(probe => probe.name),
]

const parameterRows = (params: JsonSchema) =>
  Object.entries(params.properties ?? {}).map(([name, schema]) => [
    name,
    valueOf(schema),
    'default' in schema ? `\`${JSON.stringify(schema.default)}\`` : params.required?.includes(name) ? 'required' : '',
    [schema.description, schema['x-hint'] ?? (schema.items as JsonSchema | undefined)?.['x-hint']].filter(Boolean).join('; '),
  ])

/** What may be written for a parameter, in words. */
function valueOf(schema: JsonSchema): string {
  const { type, anyOf, oneOf, items } = schema as {
    type?: string
    enum?: unknown[]
    anyOf?: JsonSchema[]
    oneOf?: JsonSchema[]
    items?: JsonSchema
  }
  if (schema['x-ref']) return `name of one of \`${schema['x-ref'] as string}\``
  if (Array.isArray(schema.enum)) return schema.enum.map(word => `\`${String(word)}\``).join(' or ')
  if ('const' in schema) return `\`${String(schema.const)}\``
  const either = anyOf ?? oneOf
  if (either) return either.map(valueOf).join(' or ')
  if (type === 'array') return `list of ${items ? valueOf(items) : 'anything'}`
  return { integer: 'whole number', boolean: '`true` or `false`', string: 'text' }[type ?? ''] ?? type ?? 'anything'
}

export const page = (title: string, lead: string, ...parts: string[]) =>
  `${[derived, `# ${title}`, lead, ...parts.filter(Boolean)].join('\n\n')}\n`
const eventLink = (event: string) => `[${event}](events.md)`
const anchor = (title: string) => title.toLowerCase().replaceAll('.', '')

export function table(head: string[], rows: string[][]): string {
  if (!rows.length) return ''
  const line = (cells: string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
