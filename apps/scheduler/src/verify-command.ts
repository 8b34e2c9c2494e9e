// Whether an entry of dbops:commands is a command: whole, signed by somebody who is known, and of these five minutes. Nothing of it is believed before its signature is.
import { createHmac, timingSafeEqual } from 'node:crypto'

/** Bytes of a body; the parameters of the largest task take a few hundred. */
export const largestBody = 64 * 1024
/** Milliseconds that a command may be good for, by the ledger's clock: what is not carried out by then, nobody waits for any more. */
export const longestLife = 5 * 60_000

export interface Signed {
  /** The sender's own, used once: the nonce. */
  id: string
  /** Who signed it. */
  key: string
  /** Milliseconds since 1970. */
  expires: number
  body: string
}
export type RefusalReason =
  | 'malformed'
  | 'oversize'
  | 'unsigned'
  | 'unknown_key'
  | 'forged'
  | 'expired'
  | 'too_far_ahead'
  | 'replayed'
  | 'not_for_services'
  | 'refused'
export interface Refused {
  reason: RefusalReason
  message: string
  hint: string
  /** As the entry says; nobody has proved it where the signature does not hold. */
  id: string | null
}

/** What is signed. No id holds a colon and no time anything but digits, so that two different commands never give the same text. */
export const canonical = (id: string, expires: string, body: string): string => `v1:${id}:${expires}:${body}`
export const signatureOf = (secret: string, id: string, expires: string, body: string): string =>
  createHmac('sha256', secret)
    .update(canonical(id, expires, body))
    .digest('hex')

const idForm = /^[A-Za-z0-9._-]{8,64}$/
const fieldsWanted = ['id', 'key', 'expires', 'body', 'sig'] as const

/** `fields` as Redis gives them, name after name and value. Whether it is in time and new is for the caller to say, who asks the ledger. */
export function verify(fields: string[], keys: Map<string, string>): Signed | Refused {
  const field = (name: string): string | undefined => fields[fields.findIndex((each, i) => i % 2 === 0 && each === name) + 1]
  const has = (name: string) => fields.some((each, i) => i % 2 === 0 && each === name)
  const said = has('id') ? field('id')! : ''
  const id = idForm.test(said) ? said : null
  const refuse = (reason: RefusalReason, message: string, hint: string): Refused => ({ reason, message, hint, id })

  if (!has('sig')) return refuse('unsigned', 'it has no field "sig"', 'docs/commands.md says how a command is signed')
  const missing = fieldsWanted.find(name => !has(name))
  if (missing) return refuse('malformed', `it has no field "${missing}"`, `an entry has the fields ${fieldsWanted.join(', ')}`)
  const [key, expires, body, sig] = ['key', 'expires', 'body', 'sig'].map(name => field(name)!) as [string, string, string, string]
  if (Buffer.byteLength(body) > largestBody)
    return refuse('oversize', `its body has ${Buffer.byteLength(body)} bytes`, `at most ${largestBody} are taken`)
  if (id === null) return refuse('malformed', 'its id is none', 'an id is 8 to 64 letters, digits, ".", "_" and "-": a UUID is one')
  if (!/^\d{10}$/.test(expires)) return refuse('malformed', '"expires" is no time', 'write seconds since 1970, as digits')
  const secret = keys.get(key)
  if (secret === undefined)
    return refuse('unknown_key', 'nobody is known by that key', 'the configuration names who may sign: commands.keys')
  const given = Buffer.from(sig, 'utf8')
  const expected = Buffer.from(signatureOf(secret, id, expires, body), 'utf8')
  const good = given.length === expected.length && timingSafeEqual(given, expected)
  if (!good)
    return refuse(
      'forged',
      'its signature is not that of its key',
      'sign "v1:<id>:<expires>:<body>" with HMAC-SHA256, over the very bytes that are sent',
    )
  return { id, key, expires: Number(expires) * 1_000, body }
}
