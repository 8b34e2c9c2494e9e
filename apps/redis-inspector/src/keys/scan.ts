// Goes through the keys of one server beside its other clients: steps of about a millisecond of its time, with as much time for others between them as it was told to leave.
import { randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '@dbops/contract/failure'
import { fieldOf } from '../info.ts'
import type { Commands, Info } from '../task.ts'
import { type Key, keysOf, script } from './script.ts'

export interface ScanOptions {
  redis: Commands
  /** Of the same server: which commands it has, and whether its policy counts uses. */
  info: Info
  /** Percent of the server's time, 1 to 100. */
  share: number
  signal: AbortSignal
}

/** Whether the eviction policy counts how often a key is used. */
export const countsUses = (info: Info): boolean => fieldOf(info, 'maxmemory_policy').endsWith('-lfu')

/** A step takes about this long, in ms; one that took `slow` found the server busy with others. */
const [aim, slow] = [1, 10]
const [fewest, most] = [10, 2_000]
/** Waits shorter than this are saved up: a timer is no finer. */
const finest = 2

/** From `cursor` to the end of its pass. Yields the keys of each step and where the next one begins; '0': this was the last. */
export async function* scan(
  { redis, info, share, signal }: ScanOptions,
  cursor: string,
): AsyncGenerator<{ keys: Iterable<Key>; cursor: string }> {
  // Before 7 there are no read-only scripts.
  const evaluate = Number.parseInt(fieldOf(info, 'redis_version'), 10) < 7 ? 'EVAL' : 'EVAL_RO'
  const lfu = countsUses(info) ? 1 : 0
  const modules = info.has('module') ? 1 : 0
  const step = async (from: string, count: number) => {
    const began = performance.now()
    const [next, packed] = await redis
      .bytes<[Buffer, Buffer]>(evaluate, script, 0, from, count, lfu, modules)
      .catch((error: Error) => refused(error, evaluate))
    return { next: next.toString('latin1'), packed, took: performance.now() - began }
  }
  let count = 50
  let owed = 0
  let going = step(cursor, count)
  for (;;) {
    const { next, packed, took } = await going
    signal.throwIfAborted()
    // Others wait behind this: half as much at once, and as long a rest again.
    if (took > slow) count = Math.max(fewest, Math.floor(count / 2))
    else count = Math.round(Math.min(most, Math.max(fewest, count * Math.min(1.5, Math.max(0.5, aim / took)))))
    owed += took * (100 / share - 1) + (took > slow ? took : 0)
    if (next === '0') {
      yield { keys: keysOf(packed), cursor: next }
      return
    }
    if (owed >= finest) {
      const began = performance.now()
      yield { keys: keysOf(packed), cursor: next }
      const rest = owed - (performance.now() - began)
      if (rest > 0) await sleep(rest, undefined, { signal })
      // What was slept too long is taken off the next one.
      owed -= performance.now() - began
      going = step(next, count)
    } else {
      // The server works on the next step while this one is looked at.
      going = step(next, count)
      going.catch(() => undefined)
      yield { keys: keysOf(packed), cursor: next }
    }
  }
}

/** Somewhere in the order of SCAN, which is that of the bits of a hash, reversed: keys from there on are drawn as by lot. */
export const anywhere = (): string => (BigInt(randomInt(2 ** 47)) * 2n).toString()

function refused(error: Error, evaluate: string): never {
  if (!error.message.includes('NOPERM') && !/no permissions|can't run this command/.test(error.message)) throw error
  throw new Problem(`the keys cannot be looked at: ${error.message}`, {
    code: 'NOPERM',
    hint: `ACL SETUSER <user of the target> %R~* +${evaluate.toLowerCase()} +scan +type +pttl +memory|usage +object|encoding +object|freq +llen +scard +zcard +hlen +xlen`,
    cause: error,
  })
}
