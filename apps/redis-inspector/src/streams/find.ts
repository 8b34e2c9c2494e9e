// The streams of a server by name: SCAN in small steps, from where the last look left off.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Commands } from '../task.ts'

/** Keys per step: a server answers other clients between two of them. */
const step = 500

export interface Found {
  names: string[]
  /** Where the next look goes on; '0': this one came to the end. */
  cursor: string
  keys: number
}

/** At most `steps` of them. What was there all the while is found by the end of a pass; a name may come twice. */
export async function findStreams(redis: Commands, from: string, steps: number, onStep?: (keys: number) => Promise<void>): Promise<Found> {
  const names = new Set<string>()
  let [cursor, keys] = [from, 0]
  for (let n = 0; n < steps; n++) {
    const [next, page] = await redis.command<[string, string[]]>('SCAN', cursor, 'COUNT', step, 'TYPE', 'stream')
    for (const name of page) names.add(name)
    cursor = next
    keys += step
    if (cursor === '0') break
    await onStep?.(keys)
  }
  return { names: [...names], cursor, keys }
}

/** ms between two steps of a whole pass. */
const pause = 5
/** All of them, in order, in one pass over `keys` keys that says how far it is. */
export async function allStreams(c: {
  redis: Commands
  signal: AbortSignal
  progress(done: number, total: number, unit: string): void
}): Promise<{ names: string[]; keys: number }> {
  const keys = await c.redis.command<number>('DBSIZE')
  const { names } = await findStreams(c.redis, '0', Number.POSITIVE_INFINITY, async seen => {
    c.progress(Math.min(seen, keys), keys, 'keys')
    await sleep(pause, undefined, { signal: c.signal })
  })
  return { names: names.toSorted(), keys }
}
