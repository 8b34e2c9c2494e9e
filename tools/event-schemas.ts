// The JSON Schema of each event as it stands on `dbops:events`: the one envelope with the type, level and data of its signal.
import { envelope, typeOf } from '@dbops/contract/envelope'
import { type SignalName, signals } from '@dbops/contract/signals'
import { z } from 'zod'

/** Additive within v1: unknown attributes are allowed, so that a reader's copy outlives our additions (`io: 'input'`). */
export function eventSchema(name: SignalName): Record<string, unknown> {
  const { severity, data, summary } = signals[name]
  const whole = envelope.extend({ type: z.literal(typeOf(name)), severity: z.literal(severity), data })
  const { $schema, ...rest } = z.toJSONSchema(whole, {
    io: 'input',
    // zod's own word; the pattern beside it says the same to everybody.
    override: ({ jsonSchema }) => {
      if (jsonSchema.format === 'starts_with') delete jsonSchema.format
    },
  })
  return { $schema, $id: `urn:axiom:dbops:event:${name}:v1`, ...rest, title: name, description: summary }
}
