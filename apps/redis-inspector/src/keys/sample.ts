// A sample of the keys of a server, by the beginning of their names: of which type they are, and how many of them end by themselves.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Commands } from '../task.ts'

export interface Prefix {
  /** Up to the first colon; whole names where there is none are counted together as ''. */
  prefix: string
  keys: number
  withTtl: number
  types: Record<string, number>
}

/** ms between two steps, and keys of a step. */
const [pause, step] = [5, 100]
/** Names are the application's: more beginnings than these are told as the rest. */
const most = 50

/** Of `wanted` keys as SCAN meets them, which is the order of their hashes: a sample as good as a random one. */
export async function sampleKeys(redis: Commands, wanted: number, signal: AbortSignal): Promise<{ sampled: number; prefixes: Prefix[] }> {
  const found = new Map<string, Prefix>()
  let [cursor, sampled] = ['0', 0]
  do {
    signal.throwIfAborted()
    const [next, names] = await redis.command<[string, string[]]>('SCAN', cursor, 'COUNT', step)
    const facts = await Promise.all(
      names.map(async name => ({
        name,
        type: await redis.command<string>('TYPE', name),
        ttl: await redis.command<number>('PTTL', name),
      })),
    )
    for (const { name, type, ttl } of facts) {
      if (type === 'none') continue // it has ended between the two
      const prefix = name.includes(':') ? name.slice(0, name.indexOf(':') + 1) : ''
      const one = found.get(prefix) ?? { prefix, keys: 0, withTtl: 0, types: {} }
      found.set(prefix, one)
      one.keys++
      if (ttl >= 0) one.withTtl++
      one.types[type] = (one.types[type] ?? 0) + 1
      sampled++
    }
    cursor = next
    if (cursor !== '0') await sleep(pause, undefined, { signal })
  } while (cursor !== '0' && sampled < wanted)
  return { sampled, prefixes: [...found.values()].toSorted((a, b) => b.keys - a.keys).slice(0, most) }
}
