// Ends sessions by their name: those of an attempt that closes, and those of attempts that died and might wake up.
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '@dbops/contract/failure'
import type { Statements } from './task.ts'

// The function waits up to its second argument (ms) for each session to be gone.
const terminateNamed = `
  SELECT pid, usename AS role, application_name AS name, pg_terminate_backend(pid, 2000) AS gone
    FROM pg_stat_activity
   WHERE pid <> pg_backend_pid()
     AND EXISTS (SELECT FROM unnest($1::text[]) AS prefix WHERE starts_with(application_name, prefix))`

/** How long a session may take to go, in ms: one that ends a large transaction rolls nothing back, it only has to notice. */
const patience = 15_000

/** Terminates every session whose name begins with one of `prefixes`; resolves when none is left. Throws `evict_denied` or `evict_failed`. */
export async function evictNamed(pg: Statements, prefixes: string[]): Promise<void> {
  const deadline = performance.now() + patience
  for (;;) {
    const seen = await pg.query<{ pid: number; role: string; name: string; gone: boolean }>(terminateNamed, [prefixes]).catch(denied)
    if (!seen.length) return
    if (performance.now() > deadline) {
      const who = seen.map(({ pid, name }) => `${name} (pid ${pid})`).join(', ')
      throw new Problem(`these sessions would not end within ${patience / 1_000} s: ${who}`, {
        code: 'evict_failed',
        hint: 'they hang in the kernel (storage?) or their role is out of reach; nothing is written while they live',
      })
    }
    await sleep(50)
  }
}

function denied(error: Error & { code?: string }): never {
  if (error.code !== '42501') throw error
  throw new Problem(`a session of an earlier attempt cannot be ended: ${error.message}`, {
    code: 'evict_denied',
    hint: 'let all maintainers use one role, or GRANT pg_signal_backend to the role of this target',
    cause: error,
  })
}
