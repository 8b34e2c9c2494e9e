// What the user of a connection may do in Redis: whether that is enough for its work, and whether it is more than that needs. Redis is asked itself, by ACL DRYRUN, which carries nothing out.

/** What an ioredis client can. */
interface Asked {
  call(command: string, ...args: string[]): Promise<unknown>
}
/** A command as it would be sent. */
export type Call = readonly [string, ...string[]]
/** Commands by the words in which they are told. */
export type Calls = Readonly<Record<string, Call>>

export interface RedisRights {
  user: string
  /** Of what it needs, what it may not; empty: it can do its work. */
  missing: string[]
  /** Of what is another's, what it may. */
  excess: string[]
}

/** Undefined where it cannot be asked: the user may not ask (`+acl|whoami +acl|dryrun`), or Redis is older than 7. Errors: those of a connection. */
export async function rightsIn(redis: Asked, needs: Calls, others: Calls): Promise<RedisRights | undefined> {
  try {
    const user = String(await redis.call('ACL', 'WHOAMI'))
    const may = async (calls: Calls) =>
      Promise.all(Object.entries(calls).map(async ([words, call]) => ({ words, allowed: await isAllowed(redis, user, call) })))
    const [needed, foreign] = [await may(needs), await may(others)]
    return {
      user,
      missing: needed.filter(({ allowed }) => !allowed).map(({ words }) => words),
      excess: foreign.filter(({ allowed }) => allowed).map(({ words }) => words),
    }
  } catch (error) {
    if (/^(NOPERM|ERR unknown (sub)?command)/i.test((error as Error).message)) return undefined
    throw error
  }
}

async function isAllowed(redis: Asked, user: string, call: Call): Promise<boolean> {
  return (await redis.call('ACL', 'DRYRUN', user, ...call)) === 'OK'
}
