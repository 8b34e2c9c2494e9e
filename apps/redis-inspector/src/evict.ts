// Ends the sessions of attempts that died and might wake up: by their names, which CLIENT LIST shows.
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '@dbops/contract/failure'
import type { Commands } from './task.ts'

/** In ms; the server closes a connection between two commands, so only a command that runs for long keeps one alive. */
const patience = 15_000

/** Kills every client whose name begins with one of `prefixes`; resolves when none is left. Throws `evict_denied` or `evict_failed`. */
export async function evictNamed(redis: Commands, prefixes: string[]): Promise<void> {
  const deadline = performance.now() + patience
  for (;;) {
    const clients = parseClients(await redis.command<string>('CLIENT', 'LIST').catch(denied))
    const seen = clients.filter(({ name }) => prefixes.some(prefix => name.startsWith(prefix)))
    if (!seen.length) return
    if (performance.now() > deadline) {
      const who = seen.map(({ id, name }) => `${name} (client ${id})`).join(', ')
      throw new Problem(`these sessions would not end within ${patience / 1_000} s: ${who}`, { code: 'evict_failed' })
    }
    // 0: it went by itself in between.
    for (const { id } of seen) await redis.command<number>('CLIENT', 'KILL', 'ID', id).catch(denied)
    await sleep(50)
  }
}

const parseClients = (text: string) => [...text.matchAll(/^id=(\d+) .*? name=(\S*) /gm)].map(([, id, name]) => ({ id: id!, name: name! }))

function denied(error: Error): never {
  if (!error.message.startsWith('NOPERM')) throw error
  throw new Problem(`a session of an earlier attempt cannot be ended: ${error.message}`, {
    code: 'evict_denied',
    hint: 'ACL SETUSER <user of the target> +client|list +client|kill',
    cause: error,
  })
}
