// One entry of a foreign stream: an event that is kept, an entry that is passed by, or one that is set aside with its kind and reason. Pure; nothing that an entry holds makes it throw.
import { createHash } from 'node:crypto'
import type { Ingest } from '@dbops/contract/config-file'
import { type Envelope, envelope, toEnvelope } from '@dbops/contract/envelope'
import { failureOf } from '@dbops/contract/failure'
import { keepable } from '@dbops/contract/keepable'
import { isSignal } from '@dbops/contract/signals'
import type { DeadLetter } from '@dbops/ledger/ingest'
import { redact } from '@dbops/runtime/redact'
import { factsOf } from './facts.ts'
import { shownField } from './without-values.ts'

/** As XREADGROUP and XAUTOCLAIM give it; null: trimmed while it was pending. */
export type Entry = [id: string, fields: string[] | null]

export type Read =
  | { outcome: 'kept'; id: string; event: Envelope }
  | { outcome: 'passed_by' | 'trimmed'; id: string }
  | { outcome: 'dead_letter'; id: string; letter: DeadLetter }

export interface From {
  name: string
  config: Ingest
  environment: string
}

/** In characters, over all fields. */
const largest = 1024 * 1024
const shown = 500

/** Why an entry that should have been an event is none. */
class Unfit extends Error {
  readonly kind: string
  constructor(kind: string, reason: string) {
    super(reason)
    this.kind = kind
  }
}

export function readEntry([id, fields]: Entry, from: From): Read {
  if (!fields) return { outcome: 'trimmed', id }
  try {
    const values = new Map<string, string>()
    for (let i = 0; i + 1 < fields.length; i += 2) if (!values.has(fields[i]!)) values.set(fields[i]!, fields[i + 1]!)
    const event = eventOf(id, values, from)
    return event ? { outcome: 'kept', id, event } : { outcome: 'passed_by', id }
  } catch (error) {
    if (error instanceof RangeError) return setAside([id, fields], 'unreadable', 'it is nested too deeply')
    return setAside([id, fields], error instanceof Unfit ? error.kind : 'unreadable', failureOf(error).message)
  }
}

/** The dead letter of an entry, with the beginning of its text. */
export const setAside = ([id, fields]: Entry, kind: string, reason: string): Read => ({
  outcome: 'dead_letter',
  id,
  // Cut before it is redacted, which takes its time on a megabyte, and again after.
  letter: {
    entry: id,
    kind,
    reason: redact(reason),
    excerpt: keepable(redact(beginningOf(fields ?? [])).slice(0, shown)),
  },
})

/** In the order of its fields, as much as is shown and a little more: it is redacted afterwards. */
function beginningOf(fields: string[]): string {
  const wholly = fields.some(text => text.slice(0, 2 * shown).includes('db_query_'))
  let text = ''
  for (const field of fields) {
    if (text.length > 2 * shown) break
    text += `${text && ' '}${shownField(field, shown, wholly, largest)}`
  }
  return text.slice(0, 2 * shown)
}

/** Undefined for an entry that nobody wants. */
function eventOf(id: string, values: Map<string, string>, { name, config, environment }: From): Envelope | undefined {
  const { map, keep, target, stream } = config
  const type = values.get(map.type)
  if (!type) throw new Unfit('no_type', `it has no field "${map.type}"`)
  if (!keep.includes(type) || !isSignal(type)) return undefined
  const size = [...values].reduce((sum, [field, value]) => sum + field.length + value.length, 0)
  if (size > largest) throw new Unfit('too_large', `it has ${size} characters, more than ${largest}`)
  const at = timeOf(id, values.get(map.time))
  const operation = `ingest:${name}`
  const facts = factsOf(type, dataOf(values, map), { operation, at })
  if ('reason' in facts) throw new Unfit('bad_data', facts.reason)
  return toEnvelope({
    id: idOf(values.get(map.id), `${target} ${stream} ${id}`),
    app: 'redis-inspector',
    event: type,
    subject: `redis/${target}`,
    environment,
    operation,
    at,
    data: facts.data,
  })
}

/** The entry's own id where it is a uuid, so that what a publisher sends twice counts once; else one that is always the same for this entry. */
export function idOf(own: string | undefined, place: string): string {
  if (envelope.shape.id.safeParse(own).success) return own!.toLowerCase()
  const hash = createHash('sha256').update(place).digest()
  hash[6] = (hash[6]! & 0x0f) | 0x80 // version 8: made in a way of our own
  hash[8] = (hash[8]! & 0x3f) | 0x80
  return hash.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** ISO 8601 (without an offset it is UTC), or seconds, milliseconds or microseconds since 1970; where an entry has none, the time at which Redis took it in. */
function timeOf(id: string, text: string | undefined): Date {
  const at = text ? parseTime(text.trim()) : new Date(Number(id.split('-')[0]))
  if (isPlausible(at)) return at
  // An id that its writer chose is no time.
  if (!text) return new Date()
  throw new Unfit('bad_time', `its time "${text.slice(0, 40)}" is none`)
}

/** False of a date that is none, too. */
const isPlausible = (at: Date) => at.getUTCFullYear() >= 2000 && at.getUTCFullYear() < 2200

function parseTime(text: string): Date {
  if (/^\d+(\.\d+)?$/.test(text)) {
    const number = Number(text)
    return new Date(number < 1e11 ? number * 1e3 : number < 1e14 ? number : number / 1e3)
  }
  if (!/^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(text)) return new Date(Number.NaN)
  const iso = text.replace(' ', 'T')
  return new Date(/(Z|[+-]\d\d:?\d\d)$/i.test(iso) ? iso : `${iso}Z`)
}

/** The field of the data as JSON; where there is none, all other fields as they are. */
function dataOf(values: Map<string, string>, map: Ingest['map']): Record<string, unknown> {
  const text = values.get(map.data)
  if (text === undefined) return Object.fromEntries([...values].filter(([field]) => ![map.type, map.id, map.time].includes(field)))
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    throw new Unfit('bad_json', `its field "${map.data}" is no JSON`)
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data))
    throw new Unfit('bad_data', `its field "${map.data}" is no JSON object`)
  return data as Record<string, unknown>
}
