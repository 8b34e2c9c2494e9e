// Finds out whether a session is really one with the server. Behind a transaction pooler locks, settings and names belong to whoever comes next.
import { Problem } from '@dbops/contract/failure'
import type { PgConnection } from '@dbops/runtime/connection'
import { Client } from 'pg'
import { clientConfig, where } from './connect.ts'

const begin = `BEGIN`
/** What a pooler in statement mode answers to it: a violation of the protocol. */
const takesNoTransactions = '08P01'
const whoServes = `SELECT pg_backend_pid() AS pid`

/**
 * `pid`: of the process that has served `client` so far. A server promises at the connect the very process that serves; a pooler promises a
 * number of its own. One in session mode does no harm, so that is not enough: the process must also change, or be shared, while another
 * connection holds a transaction. Throws `transaction_pooler`.
 */
export async function refuseTransactionPooler(client: Client, connection: PgConnection, name: string, pid: number): Promise<void> {
  if ((client as unknown as { processID: number | null }).processID === pid) return
  const other = new Client(clientConfig(connection, name))
  other.on('error', () => undefined)
  await other.connect()
  try {
    await other.query(begin)
    const theirs = (await other.query<{ pid: number }>(whoServes)).rows[0]!.pid
    const mine = (await client.query<{ pid: number }>(whoServes)).rows[0]!.pid
    if (mine === pid && theirs !== pid) return
  } catch (error) {
    if ((error as { code?: string }).code !== takesNoTransactions) throw error
  } finally {
    await other.end().catch(() => undefined)
  }
  throw new Problem(`${where(connection)} is a connection pooler that gives its sessions away between transactions, not the server`, {
    code: 'transaction_pooler',
    hint: "give the target the server's own host and port: session locks, snapshots and names do not pass such a pooler",
  })
}
