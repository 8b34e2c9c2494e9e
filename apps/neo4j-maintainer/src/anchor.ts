// What an attempt hangs on: one transaction that stays open while the attempt lives, writes nothing and blocks nobody. It is our session lock, and our tripwire.
import { Problem } from '@dbops/contract/failure'
import type { Lock } from '@dbops/ledger/runs'
import { metadataOf, type ServerSession } from './session.ts'

/** In ms between two looks at whether it is still there. */
const every = 5_000

const anchorsOfOthers = `
  SHOW TRANSACTIONS YIELD metaData, status
   WHERE metaData.dbopsLocks IS NOT NULL AND NOT metaData.dbops STARTS WITH $mine AND NOT status STARTS WITH 'Terminated'
  RETURN metaData.dbopsLocks AS locks`

/**
 * Neo4j has no advisory locks, and a driver that loses a connection quietly makes another. So the locks are written into the metadata of the anchor,
 * where a second installation reads them; and each transaction of the attempt, once begun, sees first that the anchor still holds: when it was begun
 * before an eviction, the eviction has ended it, and when after, the anchor is gone.
 *
 * Anchors first, then looks for those of others: of two who begin at once each sees the other, and both come back later. Resolves with a function
 * that lets go, or `locked`.
 */
export async function anchor(
  session: ServerSession,
  locks: Lock[],
  onLost: (error: Error) => void,
): Promise<(() => Promise<void>) | 'locked'> {
  const held = session.driver.session()
  // Without a limit of its own: the server's db.transaction.timeout is meant for work, and this is none.
  const transaction = await held.beginTransaction({
    timeout: 0,
    metadata: { ...metadataOf(session.name), dbopsLocks: locks.map(lock => `${lock.exclusive ? 'exclusive' : 'shared'} ${lock.name}`) },
  })
  let ended = false
  const stillHolds = async () => {
    try {
      await transaction.run('RETURN 1')
    } catch (error) {
      const lost = new Problem(`the session of this attempt was ended: ${(error as Error).message}`, {
        code: 'connection_lost',
        hint: 'Neo4j was restarted or cannot be reached, or somebody terminated the transaction or the connection',
        cause: error,
      })
      if (!ended) onLost(lost)
      ended = true
      throw lost
    }
  }
  const timer = setInterval(() => void stillHolds().catch(() => undefined), every)
  timer.unref()
  const letGo = async () => {
    ended = true
    clearInterval(timer)
    await held.close().catch(() => undefined)
  }
  try {
    const installation = metadataOf(session.name).dbops.split(':')[0]
    const others = await session.read<{ locks: string[] }>(anchorsOfOthers, { mine: `${installation}:` })
    if (others.some(other => other.locks.some(theirs => locks.some(lock => excludes(lock, theirs))))) {
      await letGo()
      return 'locked'
    }
  } catch (error) {
    await letGo()
    throw error
  }
  session.mayWork = stillHolds
  return letGo
}

const excludes = (mine: Lock, theirs: string) => theirs === `exclusive ${mine.name}` || (mine.exclusive && theirs === `shared ${mine.name}`)
