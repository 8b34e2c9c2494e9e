// Ends transactions and connections by their name: those of an attempt that closes, and those of attempts that died and might wake up.
import { setTimeout as sleep } from 'node:timers/promises'
import { Problem } from '@dbops/contract/failure'
import type { Driver } from 'neo4j-driver'

const terminateNamed = `
  SHOW TRANSACTIONS YIELD transactionId AS id, metaData
   WHERE any(prefix IN $prefixes WHERE 'dbops:' + metaData.dbops STARTS WITH prefix)
  TERMINATE TRANSACTIONS id YIELD transactionId
  RETURN transactionId AS id`
// A terminated transaction keeps its place, and a client that hangs keeps it there, until its connection is gone.
const killNamed = `
  CALL dbms.listConnections() YIELD connectionId AS id, userAgent
  WITH id, userAgent
 WHERE any(prefix IN $prefixes WHERE userAgent STARTS WITH prefix)
  CALL dbms.killConnection(id) YIELD message
RETURN userAgent + ' (' + id + ')' AS id`

/** In ms; a transaction with a large write to roll back takes its time. */
const patience = 15_000

/** Terminates every transaction and connection whose name begins with one of `prefixes`; resolves when none is left. Throws `evict_failed`. */
export async function evictNamed(driver: Driver, prefixes: string[], signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + patience
  for (;;) {
    signal?.throwIfAborted()
    const seen = [...(await ids(driver, terminateNamed, prefixes)), ...(await ids(driver, killNamed, prefixes))]
    if (!seen.length) return
    if (performance.now() > deadline)
      throw new Problem(`these would not end within ${patience / 1_000} s: ${seen.join(', ')}`, {
        code: 'evict_failed',
        hint: 'a large transaction is being rolled back: see SHOW TRANSACTIONS; nothing is written while it lives',
      })
    await sleep(50)
  }
}

/** In a transaction without a name, or it would be one of those that it ends. */
async function ids(driver: Driver, cypher: string, prefixes: string[]): Promise<string[]> {
  const session = driver.session()
  try {
    return (await session.run<{ id: string }>(cypher, { prefixes })).records.map(record => record.get('id'))
  } finally {
    await session.close()
  }
}
