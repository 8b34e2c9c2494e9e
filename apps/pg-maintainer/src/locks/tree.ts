// From edges to a tree: how deep each waiter stands, and which roots all of it hangs on. Who blocks and waits for nobody is a root.
export interface Edge {
  pid: number
  blockers: number[]
  seconds: number
}

export interface Placed extends Edge {
  /** 1: waits for a root. Null in a circle that the server is about to break (deadlock_timeout). */
  depth: number | null
  roots: number[]
}

export interface Root {
  pid: number
  /** All that would go on if it ended, directly or after others. */
  waiters: number
  longestWaitSeconds: number
}

export function treeOf(edges: Edge[]): { placed: Placed[]; roots: Root[] } {
  const waiting = new Map(edges.map(edge => [edge.pid, edge]))
  const placed = edges.map(edge => place(edge, waiting))
  const roots = [...new Set(placed.flatMap(({ roots }) => roots))].map(pid => {
    const behind = placed.filter(({ roots }) => roots.includes(pid))
    return { pid, waiters: behind.length, longestWaitSeconds: Math.max(...behind.map(({ seconds }) => seconds)) }
  })
  return { placed, roots: roots.toSorted((a, b) => b.waiters - a.waiters || b.longestWaitSeconds - a.longestWaitSeconds) }
}

/** Level by level, meeting nobody twice: the depth is the level of the furthest root. A circle has none. */
function place(edge: Edge, waiting: Map<number, Edge>): Placed {
  const roots = new Set<number>()
  const seen = new Set([edge.pid])
  let depth: number | null = null
  for (let level = edge.blockers, steps = 1; level.length; steps++) {
    const next = new Set<number>()
    for (const pid of level) {
      const behind = waiting.get(pid)
      if (!behind) {
        roots.add(pid)
        depth = steps
      }
      for (const further of behind?.blockers ?? []) if (!seen.has(further)) next.add(further)
    }
    for (const pid of next) seen.add(pid)
    level = [...next]
  }
  return { ...edge, depth, roots: [...roots] }
}
