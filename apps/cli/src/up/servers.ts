// The servers that `up` starts where the configuration names none: the ledger's PostgreSQL and the operations Redis; and what the sample
// platform consists of, when the configuration speaks of it.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openLedger } from '@dbops/ledger/ledger'
import { saveLogin, savePerson } from '@dbops/ledger/people'
import { grantServices } from '@dbops/ledger/rights'
import { apps } from '@dbops/runtime/config-owners'
import { createSample } from '@dbops/sample/create'
import { plantLateStore } from '@dbops/sample/late-store'
import { plantKeys } from '@dbops/sample/redis-keys'
import { startSink } from '@dbops/sample/sink'
import { plantStreamLoss } from '@dbops/sample/stream-loss'
import { startTraffic, type Traffic } from '@dbops/sample/traffic'
import { randomPassword, removeKept } from '@dbops/servers/kept'
import { createDatabase, databaseUrl, removePostgres, startPostgres } from '@dbops/servers/postgres'
import { startRedis } from '@dbops/servers/redis'
import type { Server } from '@dbops/servers/resolve'
import { redisUsers } from './redis-users.ts'
import type { Said, Teller } from './teller.ts'

export interface Place {
  home: string
  /** Given ones are used as they are. */
  ledgerUrl: string | undefined
  redisUrl: string | undefined
  withSample: boolean
  teller: Teller
  /** Aborts when everything is to stop. */
  signal: AbortSignal
  /** No question before something is installed. */
  yes: boolean | undefined
  /** Of the page, where there is one: gives the terminal to a question. */
  withTerminal: ((work: () => Promise<void>) => Promise<void>) | undefined
}

export interface Servers {
  ledgerUrl: string
  /** The ledger's URL as each of its services, by app; empty where the ledger was given: then its URL is everybody's. */
  logins: Record<string, string>
  /** The ledger's URL as each of its people; none where the ledger was given: its people are its own administrator's affair. */
  people: Record<string, string>
  redisUrl: string
  /** The URL of the operations Redis as each of the services, by app; empty where it was given. */
  redisLogins: Record<string, string>
  /** What the configuration of the sample refers to. */
  variables: Record<string, string>
  /** Takes the sample's second store away for a minute. */
  plantFault(): void
  stop(): Promise<void>
  /** At once. PostgreSQL recovers from its log at the next start. */
  kill(): void
}

/** Each in a folder of its own in the home: the ledger shares no server with what is looked after. */
const folders = { ledger: 'ledger', redis: 'redis', samplePg: 'sample-postgres', sampleRedis: 'sample-redis' } as const

/** As on the platform: what statements cost is counted. */
const platformSettings = { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.track': 'all' }

/** The ledger is looked after by the sample's plan, and has what that plan means (`pg.settings`). */
const ledgerSettings = {
  autovacuum_vacuum_scale_factor: '0.1',
  autovacuum_analyze_scale_factor: '0.05',
  log_min_duration_statement: '1000',
  'pg_stat_statements.track': 'all',
  'auto_explain.log_min_duration': '3000',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_format': 'json',
}

/** How long the second store of the sample stays away, milliseconds. */
const storeAway = 60_000

/** Errors: ServerError; what was started before it is stopped. */
export async function startServers(place: Place): Promise<Servers> {
  const { home, withSample, teller, signal, yes, withTerminal } = place
  const started: Kept[] = []
  const stops: (() => Promise<unknown>)[] = []
  let traffic: Traffic | undefined
  const stop = async () => {
    // While its servers are there: it would say that they are away.
    await traffic?.stop()
    await Promise.all(started.map(one => one.stop()))
    for (const each of stops) await each()
  }
  const keep = async (
    subject: string,
    what: string,
    given: string | undefined,
    start: (options: Common, port?: number) => Promise<Server>,
  ) => {
    signal.throwIfAborted()
    const say = (text: string) => teller.say({ subject, text })
    const common = { url: given, yes, signal, say, withTerminal }
    const kept = await keepServer(
      line => teller.say({ subject, ...line }),
      what,
      signal,
      port => start(common, port),
    )
    started.push(kept)
    say(`${what} ${given ? 'at' : 'on'} ${new URL(kept.url).host}${kept.source === 'native' ? '' : ` (${kept.source})`}`)
    return kept.url
  }
  try {
    // One after the other: what is missing is installed on the way, and apt has one lock.
    const ledger = await keep('ledger', 'PostgreSQL', place.ledgerUrl, (common, port) =>
      startPostgres({ ...common, dataDir: join(home, folders.ledger), port, settings: ledgerSettings }),
    )
    const services = apps.filter(app => app !== 'cli')
    const operations = redisUsers('operations.acl', services)
    const redisUrl = await keep('redis', 'operations Redis', place.redisUrl, (common, port) =>
      startRedis({
        ...common,
        dir: join(home, folders.redis),
        port,
        settings: { maxmemoryPolicy: 'noeviction', appendonly: true },
        users: operations.users,
      }),
    )
    const redisLogins = place.redisUrl ? {} : Object.fromEntries(services.map(app => [app, operations.as(redisUrl, app)]))
    const variables: Record<string, string> = {}
    if (withSample) {
      const looking = redisUsers('platform.acl', ['dbops'])
      const platformRedis = await keep('sample', 'platform Redis', undefined, (common, port) =>
        startRedis({
          ...common,
          dir: join(home, folders.sampleRedis),
          port,
          settings: { maxmemoryPolicy: 'allkeys-lru', maxmemory: '64mb' },
          users: looking.users,
        }),
      )
      variables['SAMPLE_REDIS_URL'] = looking.as(platformRedis, 'dbops')
      await unless(signal, plantStreamLoss(platformRedis))
      await unless(signal, plantKeys(platformRedis))
      const admin = await keep('sample', 'platform PostgreSQL', undefined, (common, port) =>
        startPostgres({ ...common, dataDir: join(home, folders.samplePg), port, settings: platformSettings }),
      )
      const say = (text: string) => teller.say({ subject: 'sample', text })
      const sample = await unless(signal, createSample(admin, { say }))
      variables['SAMPLE_DATABASE_URL'] = sample.url
      traffic = startTraffic({ databaseUrl: sample.appUrl, redisUrl: platformRedis, say })
      const secret = randomPassword()
      const sink = await startSink({ secret, onRequest: received => teller.say(requestSaid(received)) })
      stops.push(() => sink.stop())
      Object.assign(variables, { SAMPLE_WEBHOOK_URL: sink.url, SAMPLE_WEBHOOK_SECRET: secret })
      say(`webhook sink on ${new URL(sink.url).host}`)
      mkdirSync(join(home, 'stores/main'), { recursive: true, mode: 0o700 })
    }
    const ledgerUrl = place.ledgerUrl ?? (await ledgerDatabase(ledger))
    const { people, logins, care } = place.ledgerUrl ? { people: {}, logins: {}, care: ledgerUrl } : await loginsFor(ledgerUrl)
    if (withSample) variables['SAMPLE_LEDGER_URL'] = care
    return {
      ledgerUrl,
      logins,
      people,
      redisUrl,
      redisLogins,
      variables,
      stop,
      kill: () => started.forEach(one => one.kill()),
      plantFault() {
        const { there } = plantLateStore(join(home, 'stores/late'), storeAway, signal)
        stops.push(() => there)
        const text = 'the store "late" is there now'
        void there.then(() => signal.aborted || teller.say({ subject: 'sample', text }))
      },
    }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Common {
  url: string | undefined
  yes: boolean | undefined
  signal: AbortSignal
  say: (line: string) => void
  withTerminal: Place['withTerminal']
}

interface Kept {
  url: string
  source: Server['source']
  stop(): Promise<void>
  kill(): void
}

/** Starts a server, and starts it again on the same port when its process ends without being asked to. */
async function keepServer(
  say: (line: Omit<Said, 'subject'>) => void,
  what: string,
  stopping: AbortSignal,
  start: (port?: number) => Promise<Server>,
): Promise<Kept> {
  let server = await start()
  const { url, source, engine } = server
  void (async () => {
    while (server.ended) {
      const end = await server.ended
      if (stopping.aborted) return
      say({ text: `${what} ended (${end}); started again`, tone: 'bad' })
      await server.stop()
      server = await again()
      if (!stopping.aborted) say({ text: `${what} is there again`, tone: 'good' })
    }
  })().catch(() => {})

  async function again(): Promise<Server> {
    for (;;) {
      try {
        return await start(Number(new URL(url).port))
      } catch (error) {
        stopping.throwIfAborted()
        say({ text: `${what} does not start: ${(error as Error).message}`, hint: (error as { hint?: string }).hint, tone: 'bad' })
        await sleep(5_000, undefined, { signal: stopping })
      }
    }
  }
  return {
    url,
    source,
    stop: () => server.stop(),
    kill() {
      try {
        if (server.pid) process.kill(server.pid, engine === 'pg' ? 'SIGQUIT' : 'SIGKILL')
      } catch {
        // It has ended.
      }
    },
  }
}

/** The ledger is a database of its own, `dbops`, made on the first start. */
async function ledgerDatabase(adminUrl: string): Promise<string> {
  try {
    return await createDatabase(adminUrl, 'dbops')
  } catch (error) {
    const alreadyThere = '42P04'
    if ((error as { code?: string }).code !== alreadyThere) throw error
    return databaseUrl(adminUrl, 'dbops')
  }
}

/** Who may ask, and who may approve what the other has asked for. */
const people = ['operator', 'approver'] as const

/** The role by which the sample's plan looks after the ledger: reads all of it, for a dump, and writes nothing. */
const careRole = 'dbops_care'

/** All logins, with new passwords at every start: those of people are kept nowhere but in `up.json`, which only this user may read, the others nowhere. */
async function loginsFor(ledgerUrl: string): Promise<{ people: Record<string, string>; logins: Record<string, string>; care: string }> {
  const ledger = await openLedger({ url: ledgerUrl, name: `up:${process.pid}`, sessions: 1 })
  const as = (username: string) => {
    const url = new URL(ledgerUrl)
    Object.assign(url, { username, password: randomPassword() })
    return url
  }
  try {
    const found: Record<string, string> = {}
    for (const name of people) {
      const url = as(name)
      if (await savePerson(ledger, name, url.password)) found[name] = url.href
    }
    const logins: Record<string, string> = {}
    const services = await grantServices(ledger)
    for (const app of apps.filter(each => each !== 'cli')) {
      const url = as(`dbops_${app.replaceAll('-', '_')}`)
      if (services) {
        await saveLogin(ledger, url.username, url.password, [services])
        logins[app] = url.href
      }
    }
    const care = as(careRole)
    await saveLogin(ledger, careRole, care.password, ['pg_read_all_data', 'pg_monitor'], 'bypassrls')
    return { people: found, logins, care: care.href }
  } finally {
    await ledger.close()
  }
}

function requestSaid({
  body,
  verified,
  reason,
  duplicate,
}: {
  body: string
  verified: boolean
  reason?: string
  duplicate: boolean
}): Said {
  const subject = 'webhook sink'
  if (!verified) return { subject, text: `a request that does not verify: ${reason}`, tone: 'bad' }
  const { alert, operation, target } = JSON.parse(body) as {
    alert: { name: string; state: string }
    operation: string
    target: string | null
  }
  const about = `${alert.name} ${alert.state}: ${operation}${target ? ` on ${target}` : ''}`
  return {
    subject,
    text: `got ${about}, its signature verifies${duplicate ? ' (again: the same key)' : ''}`,
    tone: 'plain',
  }
}

/** As the promise, unless the signal is first; then what the promise waits for goes down with its server. */
async function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  promise.catch(() => {})
  try {
    signal.throwIfAborted()
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Removes the data of all of them from the home. None may run. */
export async function removeServers(home: string): Promise<void> {
  for (const folder of [folders.ledger, folders.samplePg]) await removePostgres(join(home, folder))
  for (const folder of [folders.redis, folders.sampleRedis]) await removeKept(join(home, folder))
}
