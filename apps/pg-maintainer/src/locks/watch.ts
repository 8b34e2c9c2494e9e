// Says who held a lock that ours could not have. When the server has given up waiting it does not know any more, so a second session looks meanwhile.
import { setTimeout as sleep } from 'node:timers/promises'
import { failureOf, Problem } from '@dbops/contract/failure'
import type { Postgres } from '../task.ts'
import { hintFor } from './fault.ts'
import { describeRoot, endOfRoot, type LockRoot, rootOf } from './root.ts'

// By their name, so that those of client programs are among them.
const waitingOfOurs = `SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'`

export interface LockWatch extends AsyncDisposable {
  /** For whom a session of this attempt waits, or has just waited. */
  seen(): LockRoot | undefined
}

/**
 * Looks every so many ms, which is to be less than half of the lock timeout. What is over before the first look costs no session. What goes
 * wrong with the looking is of no importance.
 */
export function watchLocks(pg: Postgres, every: number): LockWatch {
  const over = new AbortController()
  let last: { root: LockRoot; at: number } | undefined
  const look = async () => {
    await sleep(every, undefined, { signal: over.signal })
    await using eye = await pg.session()
    for (;;) {
      const waiting = await eye.query<{ pid: number }>(waitingOfOurs, [pg.name])
      const pids = waiting.map(({ pid }) => pid)
      const root = pids.length ? await rootOf(eye, pids) : undefined
      if (root) last = { root, at: performance.now() }
      await sleep(every, undefined, { signal: over.signal })
    }
  }
  const looking = look().catch(() => undefined)
  return {
    // An older one stood before a lock that was had in the end.
    seen: () => (last && performance.now() - last.at < 3 * every ? last.root : undefined),
    async [Symbol.asyncDispose]() {
      over.abort()
      await looking
    },
  }
}

/**
 * Runs `work`. Where a lock was not to be had in time, the error has the server's code, and tells who held it: `what` is what was asked for.
 * `lockTimeout` in ms.
 */
export async function namingBlocker<T>(
  pg: Postgres,
  { what, lockTimeout }: { what: () => string; lockTimeout: number },
  work: () => Promise<T>,
): Promise<T> {
  await using watch = watchLocks(pg, lockTimeout / 3)
  try {
    return await work()
  } catch (error) {
    const root = watch.seen()
    if (!root || !isLockTimeout(error)) throw error
    const { code, message } = failureOf(error)
    throw new Problem(`${what()} is locked by ${describeRoot(root)}: ${message}`, { code, hint: hintOf(root), cause: error })
  }
}

/** pg_dump limits its wait as a whole statement. */
const isLockTimeout = (error: unknown) => {
  const { code, message } = failureOf(error)
  return code === '55P03' || (code === 'tool_failed' && /canceling statement due to (lock|statement) timeout/.test(message))
}

/** Runs of this system and autovacuum are not ended by a statement. */
export function hintOf(root: LockRoot): string {
  if (root.pid === 0) return 'its coordinator must finish it; docs/operate/locks.md'
  const hint = hintFor({ application: root.name, kind: root.name, state: root.state })
  return root.name.startsWith('dbops:') || root.name === 'autovacuum worker' ? hint : `${hint}: ${endOfRoot(root)}`
}
