// How much the next batch takes and how long to wait before it: from the time of the last one, and from what the server feels meanwhile.

export interface Felt {
  /** Sessions that wait for a lock of ours. */
  behind: number
  /** Transactions per second of others on the whole server. Null: not known yet. */
  others: number | null
  /** Sessions of others that did something within the last second: what is known before their transactions are. */
  lively: number
  /** Of all that the server allows, 0 to 1. */
  connections: number
  /** The slowest standby, ms and bytes. Null: there is none, or it does not say. */
  replicaLag: { ms: number | null; bytes: number | null } | null
  /** Log segments that wait for the archive, or that archiving fails. Null: nothing is archived. */
  archive: { behind: number; failing: boolean } | null
}

export interface Step {
  /** Of the unit of the way: blocks, or rows. */
  size: number
  /** ms. */
  pause: number
  why: 'free' | 'busy' | 'waiters' | 'connections' | 'replica' | 'archive' | 'timeout'
  /** No batch until the server has recovered. */
  stop: boolean
}

/** ms of one batch: where nobody else works, and beside others. */
export const target = { free: 200, busy: 25 }
/** Others work where so many of their transactions end per second; a few are always ours, or a monitor's. */
const busyFrom = 50
const livelyFrom = 3
const limits = { replicaMs: 10_000, replicaBytes: 64 * 2 ** 20, archiveSegments: 32, connections: 0.9 }
/** Within this factor a size changes from one batch to the next: a single slow commit says little. */
const stride = 4

export interface Range {
  start: number
  least: number
  most: number
}
/** A block is 8 KiB as a rule: at most 32 MiB of table are held by one batch. */
export const ranges = { blocks: { start: 16, least: 1, most: 4_096 }, rows: { start: 200, least: 10, most: 50_000 } } as const

export function governor({ start, least, most }: Range) {
  let size = start
  const set = (wanted: number) => {
    size = Math.round(Math.min(most, Math.max(least, Math.min(size * stride, Math.max(size / stride, wanted)))))
    return size
  }
  return {
    get size() {
      return size
    },
    /** After a batch that took `took` ms. */
    after(took: number, felt: Felt): Step {
      const overloaded = overload(felt)
      if (overloaded) return { size: set(size / 2), pause: 1_000, why: overloaded, stop: overloaded !== 'connections' }
      if (felt.behind > 0) return { size: set(size / 2), pause: Math.max(100, took * 5), why: 'waiters', stop: false }
      const busy = felt.others === null ? felt.lively >= livelyFrom : felt.others >= busyFrom
      set((size * (busy ? target.busy : target.free)) / Math.max(took, 1))
      return { size, pause: busy ? took : 0, why: busy ? 'busy' : 'free', stop: false }
    },
    /** After a batch that the server ended because it took too long. Null: it was the smallest. */
    tooLong(): Step | null {
      return size === least ? null : { size: set(size / stride), pause: 1_000, why: 'timeout', stop: false }
    },
  }
}
export type Governor = ReturnType<typeof governor>

/** Why no further batch may begin now, if so. */
function overload({ replicaLag, archive, connections }: Felt): 'replica' | 'archive' | 'connections' | undefined {
  if (replicaLag && ((replicaLag.ms ?? 0) > limits.replicaMs || (replicaLag.bytes ?? 0) > limits.replicaBytes)) return 'replica'
  if (archive && (archive.failing || archive.behind > limits.archiveSegments)) return 'archive'
  return connections > limits.connections ? 'connections' : undefined
}
