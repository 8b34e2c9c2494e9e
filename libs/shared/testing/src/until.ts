// Waits for a condition instead of the clock: polls a predicate until it answers, and says what it waited for when it does not.

/**
 * Calls `look` every `every` ms until it returns something truthy, and returns that.
 * Errors of `look` count as "not yet"; the last one is told when `within` ms have passed.
 */
export async function until<T>(what: string, look: () => Promise<T> | T, { within = 10_000, every = 25 } = {}): Promise<NonNullable<T>> {
  const deadline = performance.now() + within
  let last: unknown
  for (;;) {
    try {
      const seen = await look()
      if (seen) return seen
      last = seen
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline) throw new Error(`waited ${within} ms for: ${what}; last seen: ${show(last)}`)
    await new Promise(resolve => setTimeout(resolve, every))
  }
}

const show = (value: unknown) => (value instanceof Error ? value.message : JSON.stringify(value))
