// The one shape of a fact on `dbops:events`: CloudEvents 1.0 as JSON, with the extension attributes that readers route by.
import { z } from 'zod'
import { type SignalName, severities, signalNames, signals } from './signals.ts'

const prefix = 'io.axiom.dbops.'

export const envelope = z
  .object({
    specversion: z.literal('1.0'),
    id: z.uuid(),
    source: z.string().startsWith('/dbops/'),
    type: z.string().regex(/^io\.axiom\.dbops\.[a-z0-9_]+\.v1$/),
    subject: z.string(),
    time: z.iso.datetime(),
    datacontenttype: z.literal('application/json'),
    severity: z.enum(severities),
    environment: z.string(),
    operation: z.string(),
    runid: z.uuid().optional(),
    traceparent: z.string().optional(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ title: 'Event', description: 'CloudEvents 1.0; unknown attributes may be added within v1 and are to be ignored' })
export type Envelope = z.infer<typeof envelope>

export const typeOf = (event: SignalName) => `${prefix}${event}.v1`

/** `io.axiom.dbops.backup_failed.v1` → `backup_failed`; undefined for an event that this version does not know. */
export function signalOf(type: string): SignalName | undefined {
  const word = type.startsWith(prefix) && type.endsWith('.v1') ? type.slice(prefix.length, -3) : undefined
  return signalNames.find(known => known === word)
}

/** What a sender says; id, type, severity and the fixed attributes follow from it. `subject` is `<engine>/<target>`, or the app for its own affairs. */
export interface Fact {
  id: string
  app: string
  event: SignalName
  subject: string
  environment: string
  operation: string
  at: Date
  runId?: string
  data: Record<string, unknown>
}

/** Builds the envelope of a fact and checks its data against the signal's schema: a sender that lies about its shape is a bug, and throws. */
export function toEnvelope(fact: Fact): Envelope {
  return {
    specversion: '1.0',
    id: fact.id,
    source: `/dbops/${fact.app}`,
    type: typeOf(fact.event),
    subject: fact.subject,
    time: fact.at.toISOString(),
    datacontenttype: 'application/json',
    severity: signals[fact.event].severity,
    environment: fact.environment,
    operation: fact.operation,
    ...(fact.runId ? { runid: fact.runId } : {}),
    data: signals[fact.event].data.parse(fact.data),
  }
}
