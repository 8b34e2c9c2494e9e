// What of a review a person should know.
import { formatDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import { mebibytes } from '@dbops/runtime/redis'
import type { KeyFacts } from './facts.ts'

const [million, mebibyte] = [1_000_000, 2 ** 20]
/** A key of that size is a pause of its server when it is deleted, moved or loaded at once. */
const bigBytes = 100 * mebibyte
const bigElements = million
/** Most of a prefix ends by itself: what does not was forgotten. */
const mostly = 0.9
/** Since the last review: by half, and by so much that it is worth a word. */
const [grown, worth] = [0.5, 64 * mebibyte]
/** Of what the server says it stores, beyond the error of the sample. */
const unmet = 1.25

export function judge(f: KeyFacts): Fault[] {
  const faults: Fault[] = []
  const find = (key: string, level: Fault['level'], what: string, hint: string, evidence: Record<string, unknown> = {}) =>
    faults.push({ key, level, what, hint, evidence: { seen: f.seen, keys: f.keys, ...evidence } })
  const n = (keys: number) => `${f.complete ? '' : 'about '}${keys.toLocaleString('en')}`

  for (const rule of f.retention) {
    const broken = rule.withoutTtl.n + rule.over.n
    if (!broken) continue
    const ways = [
      rule.withoutTtl.n ? `${n(rule.withoutTtl.n)} have no end` : '',
      rule.over.n ? `${n(rule.over.n)} live for up to ${formatDuration(rule.longestTtlMs)}` : '',
    ].filter(Boolean)
    find(
      `ttl ${rule.name}`,
      'warning',
      `of ${n(rule.keys.n)} keys ${rule.prefix}* ${ways.join(', ')}; promised is ${promise(rule.promised)}`,
      'the writer sets another time, or none: SET … EX in one command; a SET without KEEPTTL takes the end away. Those that are there: EXPIRE key seconds LT',
      { examples: rule.examples, withoutTtl: rule.withoutTtl, over: rule.over },
    )
  }
  for (const { prefix, withoutTtl, keys } of f.prefixes)
    if (withoutTtl > 0 && withoutTtl < 1 - mostly && !f.retention.some(rule => prefix.startsWith(rule.prefix)))
      find(
        `forgotten ${prefix}`,
        'info',
        `of ${n(keys.n)} keys ${prefix}* ${(withoutTtl * 100).toPrecision(2)} % have no end, the others do`,
        'a SET without KEEPTTL takes the end away, and so does a writer that forgets it; under `keys` of the target it can be said how long they may live',
      )
  for (const { key, type, bytes, elements } of [...f.largest, ...f.longest].filter(
    (one, i, all) => (one.bytes >= bigBytes || (one.elements ?? 0) >= bigElements) && all.findIndex(other => other.key === one.key) === i,
  ))
    find(
      `big ${key}`,
      'warning',
      `the ${type} ${key} takes ${mebibytes(bytes)} MiB${elements === null ? '' : ` with ${elements.toLocaleString('en')} elements`}`,
      'split it by a part of its ids; delete it by UNLINK, and read it by the SCAN of its type or by ranges: whatever takes it at once stops the server for as long',
      { bytes, elements },
    )
  for (const { prefix, bytes, growth } of f.prefixes)
    if (growth?.sure && growth.bytes > worth && growth.bytes > (bytes - growth.bytes) * grown)
      find(
        `growth ${prefix}`,
        'warning',
        `${prefix}* grew by ${mebibytes(growth.bytes)} MiB to ${mebibytes(bytes)} MiB since ${f.since!.slice(0, 10)}, by ${n(growth.keys)} keys`,
        'is it meant? else a time to live, or a bound on how many there are',
        { growth },
      )
  if (f.elsewhere)
    find(
      'databases',
      'info',
      `${f.elsewhere.toLocaleString('en')} keys are in other logical databases, which were not looked at`,
      'give the target a second entry with the number in its url; better an instance of their own: logical databases share one thread, one memory and one eviction policy, and a cluster has none',
    )
  if (!f.complete && f.bytesError !== null && f.datasetBytes > (f.bytes + f.bytesError) * unmet)
    find(
      'unmet',
      'info',
      `the keys that were seen come to ${mebibytes(f.bytes)} MiB, and the server stores ${mebibytes(f.datasetBytes)} MiB: some few large keys were not among them`,
      'a review of all keys finds them: without `sample`, or with more `budget`',
    )
  return faults
}

const promise = (promised: string) => (promised === 'any' ? 'some end' : `at most ${promised}`)
