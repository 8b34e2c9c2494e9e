// A small explicit-state checker: walks through every state that a model can reach, breadth first, so that the first violation it meets is
// reached by a shortest trace. For spaces that outgrow one machine `wander` walks at random from a seed.

export type Model<S> = {
  initial: S
  /** Every step that is possible in `state`, with what it is called in a trace. Must not change `state`. */
  next(state: S): [label: string, state: S][]
  /** Equal for states that behave alike, what they break included; the fewer keys, the smaller the space. */
  key(state: S): string
  /** The invariant that `state` breaks, in words; undefined when it breaks none. */
  violation(state: S): string | undefined
  /** Where everything should be able to arrive without help. A state that cannot is reported as stuck. */
  done(state: S): boolean
  /** Steps that nobody may rely on: kills, FLUSHALL, an operator's wish. They do not count as a way out of a state. */
  isFault(label: string): boolean
}

export type Verdict = {
  verdict: 'clean' | 'violation' | 'too large'
  states: number
  /** Steps of the shortest trace to the violation, or to the state that lies deepest. */
  depth: number
  seconds: number
  broken?: string
  trace?: string[]
}

/** Explores the whole space. More than `cap` states: the verdict is `too large`, and nothing is known about the rest. */
export function explore<S>(model: Model<S>, { cap = 5_000_000 } = {}): Verdict {
  const started = performance.now()
  const ids = new Map<string, number>([[model.key(model.initial), 0]])
  const parents = [0]
  const labels = ['']
  const ways: Ways = { from: [], to: [] }
  const done: number[] = []
  let front: [id: number, state: S][] = [[0, model.initial]]
  let depth = 0

  const verdict = (rest: Pick<Verdict, 'verdict' | 'depth'> & Partial<Verdict>): Verdict => ({
    states: ids.size,
    seconds: (performance.now() - started) / 1000,
    ...rest,
  })
  const broken = (what: string, id: number, last?: string): Verdict => {
    const trace = last === undefined ? traceTo(id, parents, labels) : [...traceTo(id, parents, labels), last]
    return verdict({ verdict: 'violation', broken: what, trace, depth: trace.length })
  }

  for (; front.length > 0; depth++) {
    const following: [number, S][] = []
    for (const [id, state] of front) {
      if (model.done(state)) done.push(id)
      for (const [label, after] of model.next(state)) {
        const key = model.key(after)
        let known = ids.get(key)
        if (known === undefined) {
          const what = model.violation(after)
          if (what !== undefined) return broken(what, id, label)
          known = ids.size
          ids.set(key, known)
          parents.push(id)
          labels.push(label)
          following.push([known, after])
        }
        if (known !== id && !model.isFault(label)) {
          ways.from.push(id)
          ways.to.push(known)
        }
      }
    }
    if (ids.size > cap) return verdict({ verdict: 'too large', depth })
    front = following
  }
  const stuck = firstThatCannotReach(done, ways, ids.size)
  return stuck === undefined
    ? verdict({ verdict: 'clean', depth: depth - 1 })
    : broken('stuck: from here nothing leads to the end without help', stuck)
}

/** `walks` random walks of at most `steps` steps. The same seed walks the same ways; a violation's trace is no shortest one. */
export function wander<S>(model: Model<S>, { seed, walks, steps = 200 }: { seed: number; walks: number; steps?: number }): Verdict {
  const started = performance.now()
  const random = randomFrom(seed)
  let states = 0
  let depth = 0
  const verdict = (rest: Pick<Verdict, 'verdict'> & Partial<Verdict>): Verdict => ({
    states,
    depth,
    seconds: (performance.now() - started) / 1000,
    ...rest,
  })
  for (let walk = 0; walk < walks; walk++) {
    const trace: string[] = []
    let state = model.initial
    while (trace.length < steps) {
      const ways = model.next(state)
      const way = ways[Math.floor(random() * ways.length)]
      if (way === undefined) {
        if (!model.done(state)) return verdict({ verdict: 'violation', broken: 'stuck: no step is left', trace, depth: trace.length })
        break
      }
      trace.push(way[0])
      state = way[1]
      states++
      const what = model.violation(state)
      if (what !== undefined) return verdict({ verdict: 'violation', broken: what, trace, depth: trace.length })
    }
    depth = Math.max(depth, trace.length)
  }
  return verdict({ verdict: 'clean' })
}

/** Steps that are no fault, as two columns: from[i] leads to to[i]. */
type Ways = { from: number[]; to: number[] }

function traceTo(id: number, parents: number[], labels: string[]): string[] {
  const trace: string[] = []
  for (let at = id; at !== 0; at = parents[at] ?? 0) trace.unshift(labels[at] ?? '')
  return trace
}

/** Walks back from `goals` over `ways`. Ids rise with the distance from the start, so the first one missed has the shortest trace. */
function firstThatCannotReach(goals: number[], { from, to }: Ways, size: number): number | undefined {
  const ends = new Int32Array(size + 1)
  for (const target of to) ends[target + 1]!++
  for (let i = 1; i <= size; i++) ends[i]! += ends[i - 1]!
  const sources = new Int32Array(from.length)
  const filled = ends.slice()
  for (let i = 0; i < from.length; i++) sources[filled[to[i]!]!++] = from[i]!

  const reached = new Uint8Array(size)
  for (const goal of goals) reached[goal] = 1
  for (const queue = [...goals]; queue.length > 0; ) {
    const at = queue.pop()!
    for (let i = ends[at]!; i < ends[at + 1]!; i++) {
      const source = sources[i]!
      if (reached[source] === 0) {
        reached[source] = 1
        queue.push(source)
      }
    }
  }
  const missed = reached.indexOf(0)
  return missed === -1 ? undefined : missed
}

/** mulberry32, a small seeded generator of numbers in [0, 1). */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
