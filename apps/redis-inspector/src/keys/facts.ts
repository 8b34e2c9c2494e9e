// A review as it is kept and shown: what was met, brought up to the whole where only a part was looked at.
import type { KeysOfRedis } from '@dbops/contract/config-file'
import { formatDuration, parseDuration } from '@dbops/contract/duration'
import { z } from 'zod'
import { confidence, countOf, sumOf } from './estimate.ts'
import { nameText } from './name.ts'
import type { Rule, Saved, Standing } from './tally.ts'

const count = z.int().min(0)
const sum = z.number().min(0)
/** Of a whole that was looked at in part: the true number lies between the two. */
const estimate = z.strictObject({ n: count, low: count, high: count })

const standing = z.strictObject({
  key: z.string(),
  type: z.string(),
  bytes: sum,
  /** Null: a string, or a collection too small to be asked. */
  elements: count.nullable(),
  /** ms; null: for ever. */
  ttlMs: sum.nullable(),
})
export const prefixFacts = z.strictObject({
  /** Up to the last colon of the names; `*` stands for ids. */
  prefix: z.string(),
  keys: estimate,
  bytes: sum,
  /** How far off `bytes` may be; null: too few keys were met to say. */
  bytesError: sum.nullable(),
  /** Share of the keys that live for ever. */
  withoutTtl: z.number().min(0).max(1),
  longestTtlMs: sum,
  types: z.array(z.string()),
  /** Since the last review; null: it was not there then. */
  growth: z.strictObject({ keys: z.int(), bytes: z.number(), sure: z.boolean() }).nullable(),
})
export const ruleFacts = z.strictObject({
  name: z.string(),
  prefix: z.string(),
  promised: z.string(),
  keys: estimate,
  withoutTtl: estimate,
  /** They live longer than promised. */
  over: estimate,
  longestTtlMs: sum,
  examples: z.array(z.string()),
})
export const keyFacts = z.strictObject({
  version: z.string(),
  policy: z.string(),
  /** Of the server when the review ended. */
  keys: count,
  seen: count,
  /** False: the figures are brought up to the whole from the keys that were seen. */
  complete: z.boolean(),
  /** That all estimates of this review hold; null: nothing was estimated. */
  confidence: z.number().nullable(),
  /** Why not all keys were seen. */
  stopped: z.enum(['sample', 'budget']).nullable(),
  seconds: sum,
  bytes: sum,
  bytesError: sum.nullable(),
  /** As the server counts it, for all that is stored, in all logical databases. */
  datasetBytes: sum,
  /** Keys in other logical databases, which were not looked at. */
  elsewhere: count,
  prefixes: z.array(prefixFacts),
  /** Of the prefixes that are not among them. */
  others: z.strictObject({ prefixes: count, keys: count, bytes: sum }),
  kinds: z.array(z.strictObject({ type: z.string(), encoding: z.string(), keys: estimate, bytes: sum })),
  /** In a part of the keys: the largest of those that were met. */
  largest: z.array(standing),
  longest: z.array(standing),
  /** By how often they are used, on a scale of 0 to 255; null: no LFU policy counts it. */
  hottest: z.array(z.strictObject({ key: z.string(), frequency: count })).nullable(),
  retention: z.array(ruleFacts),
  /** When the review was that the growth is counted from. */
  since: z.iso.datetime().nullable(),
})
export type KeyFacts = z.output<typeof keyFacts>

export const rulesOf = (keys: Record<string, KeysOfRedis>): Rule[] =>
  Object.entries(keys).map(([name, { prefix, ttl, evictable }]) => ({
    name,
    evictable,
    prefix: Buffer.from(prefix).toString('latin1'),
    ttl: ttl === 'any' || ttl === 'none' ? ttl : parseDuration(ttl),
  }))

export interface Circumstances {
  version: string
  policy: string
  lfu: boolean
  keys: number
  elsewhere: number
  complete: boolean
  stopped: KeyFacts['stopped']
  seconds: number
  datasetBytes: number
  rules: Rule[]
  last: { at: Date; result: KeyFacts } | null
}

/** Prefixes that are shown, by their bytes. */
const shown = 60

export function factsOf(tally: Saved, c: Circumstances): KeyFacts {
  const { seen } = tally
  // SCAN may meet a key twice: what was looked at wholly has as many as were met.
  const total = c.complete ? seen : Math.max(c.keys, seen)
  const all = tally.learnt.prefixes.toSorted(([, a], [, b]) => b.bytes - a.bytes)
  const statements = 1 + 2 * Math.min(all.length, shown) + tally.kinds.length + 3 * c.rules.length
  const alpha = (1 - confidence) / statements
  const counted = (hits: number) => countOf(hits, seen, total, alpha)
  const whole = sumOf({ values: seen, sum: tally.bytes, squares: tally.squares }, seen, total, alpha)
  const before = new Map(c.last?.result.prefixes.map(one => [one.prefix, one]))
  const prefixes = all.slice(0, shown).map(([name, one]) => {
    const prefix = nameText(name)
    const keys = counted(one.keys)
    const { sum: bytes, error } = sumOf({ values: one.keys, sum: one.bytes, squares: one.squares }, seen, total, alpha)
    const was = before.get(prefix)
    return {
      prefix,
      keys,
      bytes,
      bytesError: error,
      withoutTtl: one.withoutTtl / one.keys,
      longestTtlMs: one.longestTtl,
      types: Object.keys(one.types).toSorted((a, b) => one.types[b]! - one.types[a]!),
      growth: was
        ? { keys: keys.n - was.keys.n, bytes: bytes - was.bytes, sure: keys.low > was.keys.high || keys.high < was.keys.low }
        : null,
    }
  })
  const rest = all.slice(shown)
  const scale = seen ? total / seen : 0
  return {
    version: c.version,
    policy: c.policy,
    keys: c.keys,
    seen,
    complete: c.complete,
    confidence: c.complete ? null : confidence,
    stopped: c.stopped,
    seconds: c.seconds,
    bytes: whole.sum,
    bytesError: whole.error,
    datasetBytes: c.datasetBytes,
    elsewhere: c.elsewhere,
    prefixes,
    others: {
      prefixes: rest.length,
      keys: Math.round(rest.reduce((n, [, one]) => n + one.keys, 0) * scale),
      bytes: Math.round(rest.reduce((n, [, one]) => n + one.bytes, 0) * scale),
    },
    kinds: tally.kinds
      .toSorted(([, a], [, b]) => b.bytes - a.bytes)
      .map(([kind, { keys, bytes }]) => {
        const [type, encoding] = kind.split('/') as [string, string]
        return { type, encoding, keys: counted(keys), bytes: Math.round(bytes * scale) }
      }),
    largest: tally.byBytes.map(standingOf),
    longest: tally.byElements.map(standingOf),
    hottest: c.lfu ? tally.hottest.map(({ name, frequency }) => ({ key: nameText(name), frequency })) : null,
    retention: c.rules.map((rule, i) => {
      const sums = tally.rules[i]!
      return {
        name: rule.name,
        prefix: nameText(rule.prefix),
        promised: typeof rule.ttl === 'number' ? formatDuration(rule.ttl) : rule.ttl,
        keys: counted(sums.keys),
        withoutTtl: counted(sums.withoutTtl),
        over: counted(sums.over),
        longestTtlMs: sums.longestTtl,
        examples: sums.examples.map(nameText),
      }
    }),
    since: c.last?.at.toISOString() ?? null,
  }
}

const standingOf = ({ name, type, bytes, elements, ttl }: Standing) => ({ key: nameText(name), type, bytes, elements, ttlMs: ttl })
