// In which order the views of a group are refreshed: what a view reads comes before it, whatever the names say. Pure.

/** Those that nothing binds keep the order of `views`, the configuration's. A view cannot read itself, so there is always a next one. */
export function inOrder<V extends { oid: number; uses: readonly number[] }>(views: readonly V[]): V[] {
  const waiting = [...views]
  const ordered: V[] = []
  while (waiting.length) {
    const next = waiting.findIndex(view => !waiting.some(({ oid }) => view.uses.includes(oid)))
    ordered.push(...waiting.splice(Math.max(next, 0), 1))
  }
  return ordered
}
