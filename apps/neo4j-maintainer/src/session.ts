// The statements of one attempt or reading: a driver of its own, closed with it, every transaction named.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Neo4jConnection } from '@dbops/runtime/connection'
import type { Driver } from 'neo4j-driver'
import { openDriver, reach } from './connect.ts'
import type { Neo4j, StatementOptions } from './task.ts'

const describeServer = `CALL dbms.components() YIELD versions, edition RETURN versions[0] AS version, edition`

export interface ServerSession extends Neo4j {
  driver: Driver
  /** Throws when this session may not work any more; called in each transaction before its statement. */
  mayWork: () => Promise<void>
  end(): Promise<void>
}

export interface SessionOptions {
  name: string
  signal: AbortSignal
  /** Called after the connect and before the first statement. */
  guard?: () => Promise<void>
}

/** How the transactions of the session `name` are marked. `SHOW TRANSACTIONS` shows it as metaData. */
export const metadataOf = (name: string) => ({ dbops: name.replace(/^dbops:/, '') })

/** Connects, asks `guard`, and finds out whom it talks to. Throws a Problem that says where and why not, or what `guard` throws. */
export async function openSession(connection: Neo4jConnection, { name, signal, guard }: SessionOptions): Promise<ServerSession> {
  signal.throwIfAborted()
  const driver = openDriver(connection, name)
  const end = async () => {
    signal.removeEventListener('abort', onAbort)
    await Promise.race([driver.close().catch(() => undefined), sleep(2_000, undefined, { ref: false })])
  }
  // The end of its connection ends a statement on the server.
  const onAbort = () => void end()
  signal.addEventListener('abort', onAbort, { once: true })

  const run =
    (mode: 'READ' | 'WRITE') =>
    async <Row extends object>(cypher: string, parameters: Record<string, unknown> = {}, { database }: StatementOptions = {}) => {
      const session = driver.session({ defaultAccessMode: mode, ...(database ? { database } : {}) })
      const work = mode === 'READ' ? session.executeRead.bind(session) : session.executeWrite.bind(session)
      const talk = () =>
        work(
          async tx => {
            await opened.mayWork()
            return (await tx.run<Row>(cypher, parameters)).records.map(record => record.toObject())
          },
          { metadata: metadataOf(name) },
        )
      try {
        return await orAborted(signal, reach(connection, talk))
      } finally {
        // Not waited for: with a server that does not answer it would not come back.
        void session.close().catch(() => undefined)
      }
    }
  const opened: ServerSession = {
    name,
    version: '',
    edition: '',
    driver,
    mayWork: async () => {},
    read: run('READ'),
    write: run('WRITE'),
    end,
  }
  try {
    await orAborted(
      signal,
      reach(connection, () => driver.getServerInfo()),
    )
    await guard?.()
    const [server] = await opened.read<{ version: string; edition: string }>(describeServer)
    return Object.assign(opened, server)
  } catch (error) {
    await end()
    throw error
  }
}

/** The driver waits for up to 30 s for a connection; whoever is told to stop does not. */
async function orAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, aborted])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
