// What is kept of the keys that were met: sums by prefix, by type and by rule, and the few that stand out. It grows no larger however many keys there are, and can be saved.
import { type Learnt, Prefixes } from './prefixes.ts'
import type { Key } from './script.ts'

export interface PrefixSums {
  keys: number
  bytes: number
  /** Of bytes. */
  squares: number
  withoutTtl: number
  /** ms */
  longestTtl: number
  /** By type. */
  types: Record<string, number>
}

/** What an operator promises of keys that begin so. */
export interface Rule {
  name: string
  /** latin1 */
  prefix: string
  /** Milliseconds that they may live at most; `any`: each has an end; `none`: none needs one. */
  ttl: number | 'any' | 'none'
  /** A cache: what is lost of it is made again. */
  evictable: boolean
}
export interface RuleSums {
  keys: number
  withoutTtl: number
  over: number
  longestTtl: number
  /** Of those that break it, some. */
  examples: string[]
}

export interface Standing {
  name: string
  type: string
  bytes: number
  elements: number | null
  ttl: number | null
  frequency: number
}

export interface Saved {
  seen: number
  bytes: number
  squares: number
  learnt: Learnt<PrefixSums>
  /** By `type/encoding`. */
  kinds: [kind: string, { keys: number; bytes: number }][]
  rules: RuleSums[]
  byBytes: Standing[]
  byElements: Standing[]
  hottest: Standing[]
}

/** Prefixes; a save has room for 64 KiB. */
const most = 150
/** Of each list of those that stand out. */
const listed = 20
const examples = 3
/** Names are cut here: some are as long as a document. */
const longest = 121

export class KeyTally {
  readonly #rules: readonly Rule[]
  readonly #prefixes: Prefixes<PrefixSums>
  readonly #kinds: Map<string, { keys: number; bytes: number }>
  readonly #ruleSums: RuleSums[]
  readonly #byBytes: Top
  readonly #byElements: Top
  readonly #hottest: Top
  #seen = 0
  #bytes = 0
  #squares = 0

  constructor(rules: readonly Rule[], before?: Saved) {
    this.#rules = rules
    this.#prefixes = new Prefixes({ fresh, merge, weight: one => one.keys }, most, before?.learnt)
    this.#kinds = new Map(before?.kinds)
    this.#ruleSums = before?.rules ?? rules.map(() => ({ keys: 0, withoutTtl: 0, over: 0, longestTtl: 0, examples: [] }))
    this.#byBytes = new Top(key => key.bytes, before?.byBytes)
    this.#byElements = new Top(key => key.elements ?? 0, before?.byElements)
    this.#hottest = new Top(key => key.frequency, before?.hottest)
    if (before) [this.#seen, this.#bytes, this.#squares] = [before.seen, before.bytes, before.squares]
  }

  get seen(): number {
    return this.#seen
  }

  add(key: Key): void {
    const { name, type, encoding, ttl, bytes } = key
    this.#seen++
    this.#bytes += bytes
    this.#squares += bytes * bytes
    const one = this.#prefixes.of(name)
    one.keys++
    one.bytes += bytes
    one.squares += bytes * bytes
    if (ttl === null) one.withoutTtl++
    else if (ttl > one.longestTtl) one.longestTtl = ttl
    one.types[type] = (one.types[type] ?? 0) + 1
    const kind = `${type}/${encoding}`
    const sums = this.#kinds.get(kind)
    if (sums) {
      sums.keys++
      sums.bytes += bytes
    } else this.#kinds.set(kind, { keys: 1, bytes })
    for (let i = 0; i < this.#rules.length; i++)
      if (name.startsWith(this.#rules[i]!.prefix)) judge(this.#rules[i]!, this.#ruleSums[i]!, key)
    this.#byBytes.offer(key)
    this.#byElements.offer(key)
    this.#hottest.offer(key)
  }

  saved(): Saved {
    return {
      seen: this.#seen,
      bytes: this.#bytes,
      squares: this.#squares,
      learnt: this.#prefixes.learnt(),
      kinds: [...this.#kinds],
      rules: this.#ruleSums,
      byBytes: this.#byBytes.all,
      byElements: this.#byElements.all,
      hottest: this.#hottest.all,
    }
  }
}

const fresh = (): PrefixSums => ({ keys: 0, bytes: 0, squares: 0, withoutTtl: 0, longestTtl: 0, types: {} })
function merge(into: PrefixSums, from: PrefixSums): void {
  into.keys += from.keys
  into.bytes += from.bytes
  into.squares += from.squares
  into.withoutTtl += from.withoutTtl
  into.longestTtl = Math.max(into.longestTtl, from.longestTtl)
  for (const [type, n] of Object.entries(from.types)) into.types[type] = (into.types[type] ?? 0) + n
}

function judge({ ttl: promised }: Rule, sums: RuleSums, { name, ttl }: Key): void {
  sums.keys++
  if (ttl !== null && ttl > sums.longestTtl) sums.longestTtl = ttl
  if (promised === 'none') return
  if (ttl === null) sums.withoutTtl++
  else if (promised !== 'any' && ttl > promised) sums.over++
  else return
  if (sums.examples.length < examples) sums.examples.push(name.slice(0, longest))
}

/** The few with the highest figure, the highest first; what has none (0) is not among them. */
class Top {
  readonly all: Standing[]
  readonly #figure: (key: Pick<Key, 'bytes' | 'elements' | 'frequency'>) => number
  #least = 0

  constructor(figure: (key: Pick<Key, 'bytes' | 'elements' | 'frequency'>) => number, before: Standing[] = []) {
    this.#figure = figure
    this.all = before
    if (before.length >= listed) this.#least = figure(before.at(-1)!)
  }

  offer(key: Key): void {
    const figure = this.#figure(key)
    if (figure <= this.#least) return
    const { name, type, bytes, elements, ttl, frequency } = key
    // SCAN may come by one twice.
    if (this.all.some(one => one.name === name.slice(0, longest))) return
    const place = this.all.findIndex(one => this.#figure(one) < figure)
    this.all.splice(place < 0 ? this.all.length : place, 0, { name: name.slice(0, longest), type, bytes, elements, ttl, frequency })
    if (this.all.length > listed) this.all.pop()
    if (this.all.length === listed) this.#least = this.#figure(this.all.at(-1)!)
  }
}
