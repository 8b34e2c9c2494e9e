// The driver that the runner opens PostgreSQL with: one working session per attempt, whatever belongs to it, and the end of all of it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { PgTarget } from '@dbops/contract/config-file'
import { Problem } from '@dbops/contract/failure'
import { targetUrl } from '@dbops/runtime/connection'
import type { EngineDriver, OpenTarget, Session, SessionRequest } from '@dbops/runtime/engine'
import { libpqEnvironment } from './connect.ts'
import { evictNamed } from './evict.ts'
import { inspect, tools } from './findings.ts'
import { openSession, type ServerSession } from './session.ts'
import type { PostgresVerbs } from './task.ts'
import { type RunningTool, startTool, toolFor } from './tool.ts'

const describeServer = `
  SELECT current_database() AS database, current_setting('server_version') AS version,
         current_setting('server_version_num')::int / 10000 AS major, system_identifier::text AS "systemIdentifier"
    FROM pg_control_system()`
const tryLock = `SELECT pg_try_advisory_lock(hashtextextended('dbops:' || $1, 0)) AS got`
const tryLockShared = `SELECT pg_try_advisory_lock_shared(hashtextextended('dbops:' || $1, 0)) AS got`

/** The oldest server that is looked after; below it names of columns and functions differ. */
const oldestMajor = 15

export const postgres: EngineDriver<PostgresVerbs, PgTarget> = {
  engine: 'pg',

  async evict(target, fences, installation, name, signal) {
    const session = await openSession(targetUrl(target.name, target.config), { name, signal })
    try {
      await evictNamed(
        session,
        fences.map(fence => `dbops:${installation}:${fence}:`),
      )
    } finally {
      await session.end()
    }
  },

  open: (target, request) => openAttempt(target, request),

  async look(target, name, signal) {
    const nothing = () => Promise.resolve()
    const opened = await openAttempt(target, { name, locks: [], signal, guard: nothing, onLost: () => undefined }, 'look')
    return opened as Session<PostgresVerbs>
  },

  tools,
  inspect,
}

async function openAttempt(
  target: OpenTarget<PgTarget>,
  { name, locks, signal, guard, onLost }: SessionRequest,
  why: 'work' | 'look' = 'work',
): Promise<Session<PostgresVerbs> | 'locked'> {
  const connection = targetUrl(target.name, target.config)
  const working = await openSession(connection, { name, signal, guard, onLost })
  const sessions: ServerSession[] = [working]
  const running: RunningTool[] = []
  let libpq: ReturnType<typeof libpqEnvironment> | undefined

  const close = async () => {
    await Promise.all(running.map(tool => tool.kill()))
    await Promise.all(sessions.map(session => session.end()))
    libpq?.remove()
    if (why === 'work') await endLeftovers()
  }
  // Our sockets are closed and our children dead: what is left can only be a backend that has not noticed. When the server cannot be asked,
  // nothing of ours can reach it either. Whoever ends our sessions there may end this one too: it is asked again, as long as a backend may take.
  const endLeftovers = async () => {
    for (let tries = 1; ; tries++) {
      let control: ServerSession | undefined
      try {
        control = await openSession(connection, { name })
        return await evictNamed(control, [name])
      } catch (error) {
        if (error instanceof Problem && !control) return
        if (error instanceof Problem || tries === 5) throw error
        await sleep(100 * tries)
      } finally {
        await control?.end()
      }
    }
  }

  try {
    const [server] = await working.query<{ database: string; version: string; major: number; systemIdentifier: string }>(describeServer)
    refuseOldServer(target.name, server!)
    for (const lock of locks) {
      const [answer] = await working.query<{ got: boolean }>(lock.exclusive ? tryLock : tryLockShared, [lock.name])
      if (answer!.got) continue
      await close()
      return 'locked'
    }
    const pg: PostgresVerbs['pg'] = {
      ...server!,
      name,
      query: working.query,
      execute: working.execute,
      async tool(program, args, options = {}) {
        const { path } = await toolFor(program, server!)
        libpq ??= libpqEnvironment(connection, name, working.checksConnection ? '-c client_connection_check_interval=10s' : '')
        const tool = startTool(path, args, libpq.env, {
          ...options,
          signal: options.signal ? AbortSignal.any([signal, options.signal]) : signal,
        })
        running.push(tool)
        return tool
      },
      toolVersion: async program => (await toolFor(program, server!)).version,
      async session(settings = {}) {
        const second = await openSession(connection, { name, settings, signal, guard })
        sessions.push(second)
        return { query: second.query, execute: second.execute, [Symbol.asyncDispose]: () => second.end() }
      },
    }
    return { verbs: { pg }, close }
  } catch (error) {
    await close()
    throw error
  }
}

function refuseOldServer(target: string, { version, major }: { version: string; major: number }): void {
  if (major >= oldestMajor) return
  throw new Problem(`target "${target}" is PostgreSQL ${version}; looked after are ${oldestMajor} and later`, {
    code: 'server_too_old',
    hint: 'upgrade it: its major version gets no fixes any more',
  })
}
