// One dedicated, direct session with a Redis that is up and lets us in.
import { Problem } from '@dbops/contract/failure'
import type { RedisConnection } from '@dbops/runtime/connection'
import { Redis } from 'ioredis'
import { clientOptions } from './connect.ts'
import { parseInfo } from './info.ts'
import type { Commands } from './task.ts'

export interface ServerSession extends Commands {
  end(): void
}

export interface SessionOptions {
  name: string
  signal: AbortSignal
  /** Called after the connect and before the first command. */
  guard?: () => Promise<void>
  onLost?: (error: Error) => void
}

/** Connects, asks `guard`, and sees that the server answers. Throws a Problem that says where and why not, or what `guard` throws. */
export async function openSession(connection: RedisConnection, { name, signal, guard, onLost }: SessionOptions): Promise<ServerSession> {
  signal.throwIfAborted()
  const client = new Redis(clientOptions(connection, name))
  const where = `${client.options.host}:${client.options.port}`
  // What went wrong comes as an event; the promise that is rejected only says that the connection is closed.
  let cause: Error | undefined
  let ended = false
  client.on('error', error => (cause ??= error))
  client.on('end', () => {
    if (!ended) onLost?.(lost(where, cause))
    ended = true
  })
  const end = () => {
    ended = true
    signal.removeEventListener('abort', end)
    client.disconnect()
  }
  signal.addEventListener('abort', end, { once: true })

  const answered = async <Answer>(asked: Promise<unknown>): Promise<Answer> => {
    try {
      return (await asked) as Answer
    } catch (error) {
      signal.throwIfAborted()
      throw client.status === 'end' ? lost(where, cause) : error
    }
  }
  const command = <Answer>(word: string, ...args: (string | number)[]) => answered<Answer>(client.call(word, ...args))
  const bytes = <Answer>(word: string, ...args: (string | number)[]) => answered<Answer>(client.callBuffer(word, ...args))
  try {
    await client.connect()
    await guard?.()
    // Refused here: a wrong password, a user without rights, a server that still loads its data.
    await client.ping()
  } catch (error) {
    end()
    signal.throwIfAborted()
    throw error instanceof Problem ? error : notConnected(where, cause ?? (error as Error))
  }
  return { name, command, bytes, info: async () => parseInfo(await command<string>('INFO')), end }
}

const lost = (where: string, cause: Error | undefined) =>
  new Problem(`${where} ended the session${cause ? `: ${cause.message}` : ''}`, {
    code: 'connection_lost',
    hint: 'Redis was restarted or cannot be reached, or somebody ended the session by CLIENT KILL',
    cause,
  })

const hints: Record<string, string> = {
  ECONNREFUSED: 'is the server running there?',
  ENOTFOUND: 'the host has no address: correct the target, or the name service',
  ETIMEDOUT: 'nothing answers there: a firewall, a frozen server, or another host is meant',
  WRONGPASS: 'the user or the password is wrong: correct the secret of the target',
  NOAUTH: 'the server wants a password: give the target one',
  NOPERM: 'give the user of the target what an inspection needs: +ping +info +client|setname',
  LOADING: 'it reads its data from disk after a start: wait',
  MASTERDOWN: 'a replica without its primary: see its replication link',
}

/** Redis puts the kind of an error in its first word; of the network's errors the code is known. */
function notConnected(where: string, error: Error & { code?: string }): Problem {
  const code = error.code ?? /^[A-Z]{4,}(?= )/.exec(error.message)?.[0] ?? 'connection_failed'
  return new Problem(`${where} cannot be reached: ${error.message || code}`, { code, hint: hints[code], cause: error })
}
