// The driver that the runner opens Neo4j with: a session per attempt with the anchor it hangs on, and the end of all that bears its name.
import type { Neo4jTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { type Neo4jConnection, targetUrl } from '@dbops/runtime/connection'
import type { EngineDriver } from '@dbops/runtime/engine'
import { redact } from '@dbops/runtime/redact'
import { anchor } from './anchor.ts'
import { openDriver, reach } from './connect.ts'
import { evictNamed } from './evict.ts'
import { openSession } from './session.ts'
import type { Neo4jVerbs } from './task.ts'

export const neo4jDriver: EngineDriver<Neo4jVerbs, Neo4jTarget> = {
  engine: 'neo4j',

  async evict(target, fences, installation, name, signal) {
    const prefixes = fences.map(fence => `dbops:${installation}:${fence}:`)
    const session = await openSession(targetUrl(target.name, target.config), { name, signal })
    try {
      await evictNamed(session.driver, prefixes, signal)
    } finally {
      await session.end()
    }
  },

  async open(target, { name, locks, signal, guard, onLost }) {
    const connection = targetUrl(target.name, target.config)
    const session = await openSession(connection, { name, signal, guard })
    try {
      const letGo = await anchor(session, locks, onLost)
      const close = async () => {
        if (letGo !== 'locked') await letGo()
        await session.end()
        await endLeftovers(connection, name)
      }
      if (letGo !== 'locked') return { verbs: { neo4j: session }, close }
      await close()
      return 'locked'
    } catch (error) {
      await session.end()
      throw error
    }
  },

  async look(target, name, signal) {
    const session = await openSession(targetUrl(target.name, target.config), { name, signal })
    return { verbs: { neo4j: session }, close: session.end }
  },

  async inspect({ name: target, config }, signal) {
    try {
      const session = await openSession(targetUrl(target, config), { name: 'dbops:inspect', signal })
      await session.end()
      return [{ target, level: 'ok', what: `Neo4j ${session.version}, ${session.edition} edition` }]
    } catch (error) {
      const { message, hint } = failureOf(error)
      return [{ target, level: 'error', what: redact(message), ...(hint ? { hint } : {}) }]
    }
  },
}

/** Our sockets are closed: what is left is a statement that has not noticed. When the server cannot be asked, nothing of ours can reach it either. */
async function endLeftovers(connection: Neo4jConnection, name: string): Promise<void> {
  const [, installation] = name.split(':')
  const control = openDriver(connection, `dbops:${installation}:close`)
  try {
    const reachable = await reach(connection, () => control.getServerInfo()).catch(() => undefined)
    if (reachable) await evictNamed(control, [name])
  } finally {
    await control.close()
  }
}
