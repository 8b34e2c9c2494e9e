// What a declaration must be for the system to derive from it: each rule answers with what was found and the mend.
import { channel } from '@dbops/contract/config-file'
import { parseDuration } from '@dbops/contract/duration'
import { nearMiss } from '@dbops/contract/names'
import { isSignal, signalNames, signals } from '@dbops/contract/signals'
import type { Probe, Task } from '@dbops/contract/task'
import type { z } from 'zod'
import { unsayable } from './sayable.ts'

export interface Refusal {
  /** Relative to the root of the repository. */
  file: string
  found: string
  hint: string
}
type Complaint = Omit<Refusal, 'file'>

/** Every reason why `task`, found where `expected` is the only name it may have, cannot stand in the catalogue. */
export const taskRefusals = (task: Task, expected: string): Complaint[] => [
  ...misnamed('task', task.name, expected),
  ...(task.summary.trim() ? [] : [{ found: `${task.name} has no summary`, hint: 'say in one line what it does' }]),
  ...schemaRefusals(task.name, 'params', task.params, 'input'),
  ...schemaRefusals(task.name, 'result', task.result, 'output'),
  ...schemaRefusals(task.name, 'state', task.state, 'output'),
  ...['timeout' as const, 'deadline' as const].flatMap(word => durationRefusals(task.name, word, task[word])),
  ...(isDuration(task.timeout) && isDuration(task.deadline) && parseDuration(task.timeout) > parseDuration(task.deadline)
    ? [
        {
          found: `${task.name} has a timeout of ${task.timeout} and a deadline of ${task.deadline}`,
          hint: 'a run lasts at least one attempt: raise the deadline',
        },
      ]
    : []),
  ...[...task.locks.shared, ...task.locks.exclusive].flatMap(lock => lockRefusals(task, lock)),
  ...[...task.emits.succeeded, task.emits.failed].flatMap(event => signalRefusals(task.name, event)),
  ...(task.effect !== 'read' && !task.prove
    ? [
        {
          found: `${task.name} has the effect "${task.effect}" and no prove`,
          hint: 'add prove(c, facts): look in the database for what the facts claim',
        },
      ]
    : []),
  ...(task.approval === 'always' && !task.plan
    ? [{ found: `every run of ${task.name} wants an approval, and it has no plan`, hint: 'add plan(c): it is what is approved' }]
    : []),
]

/** The same for a probe. */
export const probeRefusals = (probe: Probe, expected: string): Complaint[] => [
  ...misnamed('probe', probe.name, expected),
  ...schemaRefusals(probe.name, 'result', probe.result, 'output'),
  ...['every' as const, 'timeout' as const].flatMap(word => durationRefusals(probe.name, word, probe[word])),
  ...(isDuration(probe.every) && (parseDuration(probe.every) < 10_000 || parseDuration(probe.every) > 300_000)
    ? [{ found: `${probe.name} looks every ${probe.every}`, hint: 'write 10s to 300s (5m)' }]
    : []),
  ...[probe.emits.failed, probe.emits.recovered].flatMap(event => signalRefusals(probe.name, event)),
]

/** What the table of signals itself may not say. */
export const tableRefusals = (): Complaint[] =>
  signalNames.flatMap(name => {
    const { resolves = [] } = signals[name] as { resolves?: readonly string[] }
    return resolves
      .filter(other => !isSignal(other) || !('alert' in signals[other]))
      .map(other => ({
        found: `${name} resolves "${other}", which is no signal that opens an alert`,
        hint: nearMiss(other, signalNames) ?? 'give that signal `alert: true`',
      }))
  })

/** The channels that the relay has are those that the configuration takes: one without a shape could not be configured, a shape without one would do nothing. */
export function channelRefusals(files: string[]): Refusal[] {
  const shapes: string[] = channel.options.map(option => option.shape.type.value)
  return [
    ...files
      .filter(name => !shapes.includes(name))
      .map(name => ({
        file: `apps/alert-relay/src/channels/${name}.ts`,
        found: `the configuration takes no channel of the type "${name}"`,
        hint: 'add its shape to `channel` in libs/shared/contract/src/config-file.ts',
      })),
    ...shapes
      .filter(name => !files.includes(name))
      .map(name => ({
        file: 'libs/shared/contract/src/config-file.ts',
        found: `takes channels of the type "${name}", which the relay has not`,
        hint: `write apps/alert-relay/src/channels/${name}.ts, or take the shape out`,
      })),
  ]
}

const misnamed = (kind: string, name: string, expected: string): Complaint[] =>
  name === expected
    ? []
    : [{ found: `the ${kind} calls itself "${name}"`, hint: `the path is the name: write name: '${expected}', or move the file` }]

function schemaRefusals(owner: string, part: string, schema: z.ZodObject, io: 'input' | 'output'): Complaint[] {
  const open = schema._zod.def.catchall?._zod.def.type !== 'never'
  return [
    ...(open ? [{ found: `${owner}: ${part} accepts unknown keys`, hint: `write ${part}: z.strictObject({ … })` }] : []),
    ...unsayable(schema, io).map(reason => ({
      found: `${owner}: ${part}: ${reason}`,
      hint: 'use what JSON Schema can say (min, max, regex, enum, int, iso.datetime, strictObject, default …) and check the rest in plan or run with Refused',
    })),
  ]
}

/** A lock whose parameter may be absent would be named `purge:undefined`, and be everybody's. */
function lockRefusals(task: Task, lock: string): Complaint[] {
  return [...lock.matchAll(/\{([^}]*)\}/g)].flatMap(([, param]) => {
    const schema = task.params.shape[param!]
    if (!schema)
      return [
        {
          found: `${task.name}: the lock "${lock}" names the parameter "${param}", which it has not`,
          hint: nearMiss(param!, Object.keys(task.params.shape)) ?? `parameters: ${Object.keys(task.params.shape).join(', ') || 'none'}`,
        },
      ]
    if (schema._zod.def.type === 'optional')
      return [
        {
          found: `${task.name}: the lock "${lock}" names the parameter "${param}", which may be left out`,
          hint: 'require it, or give it a default',
        },
      ]
    return []
  })
}

const signalRefusals = (owner: string, event: string): Complaint[] =>
  isSignal(event)
    ? []
    : [
        {
          found: `${owner} emits "${event}", which is no signal`,
          hint: nearMiss(event, signalNames) ?? 'a new event is one line in libs/shared/contract/src/signals.ts',
        },
      ]

const durationRefusals = (owner: string, word: string, text: string): Complaint[] =>
  isDuration(text) ? [] : [{ found: `${owner}: ${word} "${text}" is no duration`, hint: 'write a whole number and a unit: 30s, 15m, 2h' }]

function isDuration(text: string): boolean {
  try {
    return parseDuration(text) > 0
  } catch {
    return false
  }
}
