// An entry of `dbops:events`, looked at: an event that this version knows, one it may pass over, or poison with its reason.
import { type Envelope, envelope, signalOf } from '@dbops/contract/envelope'
import { isKeepable } from '@dbops/contract/keepable'
import { type SignalName, signals } from '@dbops/contract/signals'

/** Larger entries are no events of ours. */
export const largest = 1024 * 1024

/** What stands in the entry's field "ce". */
export const valueOf = (fields: string[]): string | undefined => fields[fields.findIndex((name, i) => i % 2 === 0 && name === 'ce') + 1]

/** `skip`: of a newer version, or another system's. */
export function readEvent(fields: string[]): { event: Envelope; signal: SignalName } | { reason: string } | { skip: true } {
  if (!fields.some((name, i) => i % 2 === 0 && name === 'ce')) return { reason: 'it has no field "ce"' }
  const text = valueOf(fields) ?? ''
  if (Buffer.byteLength(text) > largest) return { reason: `it is larger than ${largest} bytes` }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { reason: 'its field "ce" is no JSON' }
  }
  // No effect in the ledger could hold it, and no outbox send it again.
  if (!isKeepable(value)) return { reason: 'it holds U+0000 or half a surrogate pair, which no database keeps' }
  const parsed = envelope.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    return { reason: `it is no event: ${issue.path.join('.') || 'envelope'}: ${issue.message}` }
  }
  const signal = signalOf(parsed.data.type)
  if (!signal) return { skip: true }
  const data = signals[signal].data.safeParse(parsed.data.data)
  if (!data.success)
    return { reason: `its data is not that of ${signal}: ${data.error.issues[0]!.path.join('.')}: ${data.error.issues[0]!.message}` }
  return { event: parsed.data, signal }
}
