// What names of keys begin with, learnt as they come: `cache:user:42` belongs to `cache:user:`, `cart:0f3c…:items:7` to `cart:*:items:`.

/** Tallies of one prefix; two can be made one. */
export interface Tally<T> {
  fresh(): T
  merge(into: T, from: T): void
  /** Keys, by which a prefix is a large one. */
  weight(one: T): number
}

/** Beyond so many parts a name says nothing more. */
const deepest = 4
/** Of a parent's keys: children that are fewer go together. */
const share = 0.01
/** Raw beginnings whose place is remembered. */
const remembered = 10_000

/** The saved form: `folded` are parents whose small children are one, with those that stand for themselves. */
export interface Learnt<T> {
  prefixes: [prefix: string, one: T][]
  folded: [parent: string, kept: string[]][]
}

/** At most `cap` prefixes. Names are latin1 strings: one character for each byte. */
export class Prefixes<T> {
  readonly #tally: Tally<T>
  readonly #cap: number
  readonly #all: Map<string, T>
  readonly #folded: Map<string, Set<string>>
  readonly #places = new Map<string, T>()

  constructor(tally: Tally<T>, cap: number, before: Learnt<T> = { prefixes: [], folded: [] }) {
    this.#tally = tally
    this.#cap = cap
    this.#all = new Map(before.prefixes)
    this.#folded = new Map(before.folded.map(([parent, kept]) => [parent, new Set(kept)]))
  }

  /** The tally that a key of this name belongs to. */
  of(name: string): T {
    const beginning = name.slice(0, name.lastIndexOf(':') + 1)
    const known = this.#places.get(beginning)
    if (known) return known
    const prefix = this.#prefixOf(beginning)
    let one = this.#all.get(prefix)
    if (!one) {
      this.#all.set(prefix, (one = this.#tally.fresh()))
      if (this.#all.size > this.#cap) {
        this.#fold()
        return this.of(name)
      }
    }
    if (this.#places.size >= remembered) this.#places.clear()
    this.#places.set(beginning, one)
    return one
  }

  entries(): [prefix: string, one: T][] {
    return [...this.#all]
  }

  learnt(): Learnt<T> {
    return { prefixes: this.entries(), folded: [...this.#folded].map(([parent, kept]) => [parent, [...kept]]) }
  }

  /** `beginning` ends with a colon, or is empty. */
  #prefixOf(beginning: string): string {
    let prefix = ''
    for (let from = 0, depth = 0; from < beginning.length && depth < deepest; depth++) {
      const end = beginning.indexOf(':', from) + 1
      prefix = this.#childOf(prefix, beginning.slice(from, end))
      from = end
    }
    return prefix
  }

  #childOf(parent: string, part: string): string {
    const kept = this.#folded.get(parent)
    const name = isVariable(part) ? '*:' : part.replace(numbered, '*')
    return parent + (kept && !kept.has(name) ? '*:' : name)
  }

  /** The parent with the most children gives up its small ones. */
  #fold(): void {
    const children = new Map<string, Map<string, number>>()
    for (const [prefix, one] of this.#all)
      for (const [parent, part] of stepsOf(prefix)) {
        const of = children.get(parent) ?? new Map<string, number>()
        children.set(parent, of.set(part, (of.get(part) ?? 0) + this.#tally.weight(one)))
      }
    const [parent, parts] = [...children].reduce((most, each) => (each[1].size > most[1].size ? each : most))
    const total = [...parts.values()].reduce((sum, n) => sum + n, 0)
    this.#folded.set(parent, new Set([...parts].filter(([part, n]) => part !== '*:' && n >= total * share).map(([part]) => part)))
    const before = this.entries()
    this.#all.clear()
    this.#places.clear()
    for (const [prefix, one] of before) {
      const place = this.#prefixOf(prefix)
      const there = this.#all.get(place)
      if (there) this.#tally.merge(there, one)
      else this.#all.set(place, one)
    }
  }
}

/** An id and no word: a number, a longer hexadecimal one, with four digits in a row, very long, or it stands for ids already. */
const isVariable = (part: string): boolean =>
  part === '*:' || part.length > 33 || (/\d/.test(part) && /^\d+:$|^[\da-f-]{8,}:$|\d{4}/i.test(part))

/** Of `tenant-7`, `shard_12`: what is counted. A version (`v2`) is a word. */
const numbered = /(?<=[-_.])\d+(?=[-_.:])/g

function* stepsOf(prefix: string): Generator<[parent: string, part: string]> {
  for (let from = 0; from < prefix.length; ) {
    const end = prefix.indexOf(':', from) + 1
    yield [prefix.slice(0, from), prefix.slice(from, end)]
    from = end
  }
}
