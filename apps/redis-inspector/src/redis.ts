// The driver that the runner opens Redis with: one direct session per attempt and its end, findings, and no locks.
import type { RedisTarget } from '@dbops/contract/config-file'
import { failureOf } from '@dbops/contract/failure'
import { targetUrl } from '@dbops/runtime/connection'
import type { EngineDriver } from '@dbops/runtime/engine'
import { nobodys } from '@dbops/runtime/operations-rights'
import { redact } from '@dbops/runtime/redact'
import { rightsIn } from '@dbops/runtime/redis-rights'
import { evictNamed } from './evict.ts'
import { fieldOf } from './info.ts'
import { openSession } from './session.ts'
import type { RedisVerbs } from './task.ts'

export const redis: EngineDriver<RedisVerbs, RedisTarget> = {
  engine: 'redis',

  async evict(target, fences, installation, name, signal) {
    const session = await openSession(targetUrl(target.name, target.config), { name, signal })
    try {
      await evictNamed(
        session,
        fences.map(fence => `dbops:${installation}:${fence}:`),
      )
    } finally {
      session.end()
    }
  },

  // `locks` are the ledger's alone. Redis has no lock that ends with its session, only keys, and an inspector writes none into a server that it
  // looks into: two installations may read one Redis side by side.
  async open(target, { name, signal, guard, onLost }) {
    const session = await openSession(targetUrl(target.name, target.config), { name, signal, guard, onLost })
    return { verbs: { redis: session }, close: async () => session.end() }
  },

  async look(target, name, signal) {
    const session = await openSession(targetUrl(target.name, target.config), { name, signal })
    return { verbs: { redis: session }, close: async () => session.end() }
  },

  async inspect({ name: target, config }, signal) {
    try {
      const session = await openSession(targetUrl(target, config), { name: 'dbops:inspect', signal })
      try {
        const info = await session.info()
        const rights = await rightsIn({ call: session.command }, {}, nobodys)
        const as = rights ? `, as ${rights.user}` : ''
        return [
          { target, level: 'ok', what: `Redis ${fieldOf(info, 'redis_version')}, ${fieldOf(info, 'role')}${as}` },
          ...(rights?.excess.length
            ? [
                {
                  target,
                  level: 'warning' as const,
                  what: `its user ${rights.user} may do what no inspection does: ${rights.excess.join(', ')}`,
                  hint: 'deploy/redis/platform.acl has a user that looks and writes nothing',
                },
              ]
            : []),
        ]
      } finally {
        session.end()
      }
    } catch (error) {
      const { message, hint } = failureOf(error)
      return [{ target, level: 'error', what: redact(message), ...(hint ? { hint } : {}) }]
    }
  },
}
