// The data of an event that another service told, in the shape that the signal promises its readers; or why it does not fit.
import { runFacts, type SignalName, signals } from '@dbops/contract/signals'
import { redactAll } from '@dbops/runtime/redact'
import { withoutValues } from './without-values.ts'

type Data = Record<string, unknown>
export interface Told {
  /** `ingest:<name>`. */
  operation: string
  /** By the clock of the service that said it. The event's own time is the ledger's. */
  at: Date
}

/** Characters of a statement's text that go out (seed 4.1). */
const longestQuery = 500

/**
 * Passes what fits, gives a run's shape to what was never a run of ours, and refuses the rest with a reason. Statements go without their literals,
 * the customers' data, and then all texts without secrets: a secret taken out of the middle of a quoted text takes a quote along.
 */
export function factsOf(signal: SignalName, raw: Data, told: Told): { data: Data } | { reason: string } {
  const data = redactAll(withoutValues(raw, longestQuery, signal.startsWith('db_query_')))
  const schema = signals[signal].data
  const worded: Data = signal === 'db_query_slow' ? slow(data, told) : { ...data, occurred_at: told.at.toISOString() }
  const parsed = schema.safeParse(worded)
  if (parsed.success) return { data: parsed.data }
  if ((schema as unknown) === runFacts) return { data: runFacts.parse(asRun(signal, data, told)) }
  const issue = parsed.error.issues[0]!
  return { reason: `its data is not that of ${signal}: ${issue.path.join('.') || 'data'}: ${issue.message}` }
}

const slow = (data: Data, { operation, at }: Told): Data => ({
  ...data,
  duration_ms: numeric(data['duration_ms']),
  params_count: numeric(data['params_count'] ?? null),
  source: operation,
  occurred_at: at.toISOString(),
})

/** Fields of a flat entry are texts. */
const numeric = (value: unknown) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value)

/** What another service says of its own work, as the facts of a run that was never one of ours; its own words are the result. */
function asRun(signal: SignalName, data: Data, { operation, at }: Told): Data {
  const failed = signals[signal].severity === 'error' || signals[signal].severity === 'critical'
  const why = [data['error'], (data['error'] as Data | null)?.['message'], data['message'], data['reason']].find(
    one => typeof one === 'string',
  )
  return {
    task: operation,
    state: failed ? 'failed' : 'succeeded',
    attempt: 1,
    mode: 'do',
    schedule: null,
    slot: null,
    startedAt: null,
    finishedAt: at.toISOString(),
    result: data,
    error: failed ? { code: 'told_by_platform', message: why ?? 'the platform gave no reason' } : null,
  }
}
