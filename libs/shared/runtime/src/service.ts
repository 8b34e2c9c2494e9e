// The one bootstrap of every service: configuration, page, ledger, Redis, heartbeat, loops, and an orderly stop with a deadline.
import { setMaxListeners } from 'node:events'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { catalogHash } from '@dbops/catalog/catalog'
import { parseDuration } from '@dbops/contract/duration'
import { type Fact, toEnvelope } from '@dbops/contract/envelope'
import { failureOf, Problem } from '@dbops/contract/failure'
import type { SignalName } from '@dbops/contract/signals'
import { letGo } from '@dbops/ledger/leases'
import { type Channel, isConnectionProblem, type Ledger, openLedger } from '@dbops/ledger/ledger'
import { programVersion } from '@dbops/ledger/program-version'
import { rightsHere } from '@dbops/ledger/rights'
import { leaveService, reportService } from '@dbops/ledger/services'
import type { Redis } from 'ioredis'
import { v7 as uuidv7 } from 'uuid'
import { type Config, readConfig } from './config.ts'
import { type App, resolveFor } from './config-owners.ts'
import { ConfigProblem, formatConfigError } from './config-problem.ts'
import { serviceUrl } from './connection.ts'
import { servePage } from './http.ts'
import { type Log, openLog } from './log.ts'
import { type Metrics, openMetrics } from './metrics.ts'
import { operationsCalls } from './operations-rights.ts'
import { watchOwnPool } from './own-pool.ts'
import { redact } from './redact.ts'
import { beConnected, blockingRedis, memoryFault, promptRedis } from './redis.ts'
import { rightsIn } from './redis-rights.ts'

export interface Loop {
  name: string
  /** Milliseconds from the end of a turn to the next. */
  every: number
  /** From its beginning instead, so that a turn that takes its time keeps the cadence. */
  steady?: true
  /** A notification in the ledger that brings the next turn forward. */
  wake?: Channel
  /** Also while the service is not ready. */
  always?: boolean
  /** `alive` says, in a turn of many steps, that it goes on: one that says nothing for a minute is taken for stuck, and the process for one to be restarted. */
  turn(alive: () => void): Promise<void>
}

export interface Service {
  app: App
  /** `app@host:pid`: in logs, in leases, in the ledger. */
  name: string
  config: Config
  ledger: Ledger
  log: Log
  metrics: Metrics
  /** Aborts when the service stops. */
  signal: AbortSignal
  timers: { heartbeat: number; lease: number; reap: number }
  redis(kind: 'blocking' | 'prompt'): Redis
  /** Command line options beside `--config`. */
  option(name: string): string | undefined
  /** Runs `turn` again and again until the stop. Its errors are logged once until they change; while ledger or Redis is away the service says so and goes on. */
  loop(loop: Loop): () => void
  /** Something that waits for Redis in a loop of its own: `silentFor` (ms) beyond a minute means that the process is to be restarted. */
  mustTurn(what: string, silentFor: () => number): void
  /** A reason why this service takes no work, or null when that is over. */
  hinder(key: string, reason: string | null): void
  isReady(): boolean
  /** What the service reports of itself in the ledger, shown by `workers` and `doctor`. */
  detail: Record<string, unknown>
  /** All at once, when the signal has aborted; ledger and Redis are there until the last has ended. */
  onStop(stop: () => Promise<void>): void
  /** An event of this service, to be put into the outbox with `publish`. Its time is set by the ledger. */
  event(fact: {
    event: SignalName
    subject: string
    operation: string
    data: Record<string, unknown>
    runId?: string
  }): ReturnType<typeof toEnvelope>
}

const options = {
  config: { type: 'string' },
  lanes: { type: 'string' },
  concurrency: { type: 'string', multiple: true },
  'allow-mass-disable': { type: 'boolean' },
} as const

/** How long, in ms, a loop may stand still before the process is taken for stuck. */
const patience = 60_000
/** Refusals of what the service was given. Like a wrong configuration they end it with 2: started again, it would be refused again. */
const refusals = ['ledger_newer', 'bad_option', 'mass_disable']
/** How long an orderly stop may take before the process ends anyhow: what is not let go by then is taken over as after a kill. */
const stopWithin = 10_000

/** Runs a service until SIGTERM or SIGINT. Ends with 2 when the configuration is wrong or refused; waits, and says so, when ledger or Redis is away. */
export async function startService(app: App, main: (service: Service) => Promise<void>): Promise<void> {
  const name = `${app}@${hostname()}:${process.pid}`
  const log = openLog(app, name)
  const stopping = new AbortController()
  setMaxListeners(0, stopping.signal)
  try {
    await run(app, name, log, stopping, main)
  } catch (error) {
    // What is given up because the service stops is no fault: the stop ends the process.
    if (stopping.signal.aborted) return
    if (error instanceof ConfigProblem)
      for (const fault of error.errors) log.fatal({ event: 'config_wrong', hint: fault.hint }, formatConfigError(fault))
    else {
      const { code, message, hint } = failureOf(error)
      log.fatal(
        { event: 'service_ended', code, hint, ...(error instanceof Problem ? {} : { stack: redact((error as Error).stack ?? '') }) },
        message,
      )
    }
    process.exit(error instanceof ConfigProblem || refusals.includes(failureOf(error).code) ? 2 : 1)
  }
}

function readOptions() {
  try {
    return parseArgs({ options, strict: true }).values
  } catch (error) {
    const known = Object.keys(options).map(option => `--${option}`)
    throw new Problem((error as Error).message, { code: 'bad_option', hint: `known are ${known.join(', ')}` })
  }
}

async function run(app: App, name: string, log: Log, stopping: AbortController, main: (service: Service) => Promise<void>) {
  const values = readOptions()
  const config = readConfig(values.config)
  // Everything that this service owns must open now: a secret that is missing at three in the morning is found out too late.
  const [fault, ...more] = resolveFor(app, config)
  if (fault) throw new ConfigProblem([fault, ...more])
  const [ledgerUrl, redisUrl] = [serviceUrl(config, 'ledger')!, serviceUrl(config, 'redis')!]
  const timers = {
    heartbeat: parseDuration(config.timers.heartbeat),
    lease: parseDuration(config.timers.lease),
    reap: parseDuration(config.timers.reap),
  }
  const metrics = openMetrics(app)
  const stops: (() => Promise<void>)[] = []
  // When all else has stopped.
  let leave = async (): Promise<void> => undefined
  const hindrances = new Map<string, string>([['start', 'starting']])
  const turns = new Map<string, { at: number; limit: number }>()
  const turning = new Map<string, () => number>()
  const hinder = (key: string, reason: string | null) => {
    const before = hindrances.get(key)
    if (reason === null) hindrances.delete(key)
    else hindrances.set(key, reason)
    if (reason !== null && before !== reason && key !== 'start') log.warn({ event: 'service_hindered', cause: key }, reason)
    if (reason === null && before !== undefined && hindrances.size === 0) log.info({ event: 'service_ready' }, 'ready')
  }
  const page = await servePage(
    {
      // A loop that has not come round for a minute beyond its time is stuck; one that comes round and finds the ledger away is not.
      live: () => [
        ...[...turns]
          .filter(([, t]) => performance.now() - t.at > t.limit)
          .map(([loop]) => `the loop "${loop}" has not come round for a minute`),
        ...[...turning]
          .filter(([, silentFor]) => silentFor() > patience)
          .map(([what]) => `${what} has had no answer for a minute, and Redis is there`),
      ],
      ready: () => [...hindrances.values()],
    },
    metrics,
  )
  log.info({ event: 'service_started', address: page.address, version: programVersion }, `${app} started`)

  const stop = async (why: string) => {
    if (stopping.signal.aborted) return
    log.info({ event: 'service_stopping', cause: why }, `stopping: ${why}`)
    setTimeout(() => process.exit(0), stopWithin).unref()
    hinder('stop', 'stopping')
    stopping.abort(new Problem('the service is stopping', { code: 'stopping' }))
    await Promise.all(stops.map(each => each().catch((error: Error) => log.warn({ event: 'stop_failed', error }, error.message))))
    await leave().catch((error: Error) => log.warn({ event: 'stop_failed', error }, error.message))
    await page.close()
    log.info({ event: 'service_stopped' }, 'stopped')
    process.exit(0)
  }
  process.once('SIGTERM', () => void stop('SIGTERM'))
  process.once('SIGINT', () => void stop('SIGINT'))

  const ledger = await openLedger({
    answerWithin: timers.heartbeat,
    url: ledgerUrl,
    name,
    signal: stopping.signal,
    onWait: error => hinder('ledger', redact(`the ledger does not answer: ${error.message}`)),
  })
  hinder('ledger', null)
  const clients: Redis[] = []
  const redis = (kind: 'blocking' | 'prompt') => {
    const client = (kind === 'blocking' ? blockingRedis : promptRedis)(redisUrl, name)
    clients.push(client)
    return client
  }
  leave = async () => {
    await Promise.race([letGo(ledger, name).then(() => leaveService(ledger, name)), sleep(1_000)]).catch(() => undefined)
    for (const client of clients) client.disconnect()
    await ledger.close()
  }

  const service: Service = {
    app,
    name,
    config,
    ledger,
    log,
    metrics,
    timers,
    signal: stopping.signal,
    redis,
    hinder,
    // The command line asks this, where it knows the ledger alone, before it asks whether something may be done in `prod`.
    detail: { environment: config.environment },
    isReady: () => hindrances.size === 0,
    option: key => {
      const value = (values as Record<string, string | boolean | string[] | undefined>)[key]
      return value === undefined ? undefined : String(value)
    },
    onStop: each => void stops.push(each),
    event: fact => toEnvelope({ id: uuidv7(), app, at: new Date(), environment: config.environment, ...fact } satisfies Fact),
    loop: loop => runLoop(service, loop, turns),
    mustTurn: (what, silentFor) => void turning.set(what, silentFor),
  }

  const watch = redis('prompt')
  service.loop({
    name: 'redis',
    every: 5_000,
    always: true,
    async turn() {
      try {
        await beConnected(watch)
        hinder('redis', (await memoryFault(watch)) ?? null)
      } catch (error) {
        hinder('redis', redact(`the operations Redis does not answer: ${(error as Error).message}`))
      }
    },
  })
  // What is missing is found before it is needed; what is too much is told by `doctor`.
  service.loop({
    name: 'rights',
    every: 60_000,
    always: true,
    async turn() {
      const { missing, excess } = await rightsHere(ledger)
      service.detail['excess'] = excess
      hinder(
        'rights',
        missing.length ? `its role in the ledger lacks ${some(missing)}; deploy/sql/ledger-roles.sql gives a service its rights` : null,
      )
    },
  })
  service.loop({
    name: 'redis-rights',
    every: 60_000,
    always: true,
    async turn() {
      if (app === 'cli') return
      await beConnected(watch)
      if (watch.status !== 'ready') return // told by the loop above
      const { needs, others } = operationsCalls(app)
      const rights = await rightsIn(watch, needs, others)
      service.detail['redisRights'] = rights ? { user: rights.user, excess: rights.excess } : null
      hinder(
        'redis-rights',
        rights?.missing.length
          ? `its user ${rights.user} in the operations Redis lacks ${some(rights.missing)}; deploy/redis/operations.acl has what a service needs`
          : null,
      )
    },
  })
  const answer = metrics.gauge('dbops_ledger_answer_seconds', 'what the quickest of the last five reports to the ledger took', [])
  let took: number[] = []
  service.loop({
    name: 'report',
    every: timers.heartbeat,
    always: true,
    turn: async () => {
      const askedAt = performance.now()
      await reportService(ledger, {
        name,
        app,
        version: programVersion,
        catalogHash,
        configHash: config.hash,
        address: page.address,
        ready: hindrances.size === 0,
        reasons: [...hindrances.values()],
        detail: service.detail,
      })
      // The quickest: one that waited for a checkpoint, or for us, says nothing of the ledger.
      took = [...took.slice(-4), performance.now() - askedAt]
      if (took.length < 5) return
      const quickest = Math.min(...took)
      answer.set(quickest / 1_000)
      service.detail['ledgerMs'] = Math.round(quickest)
    },
  })
  watchOwnPool(service)
  await main(service)
  hinder('start', null)
}

const some = (all: string[]) => all.slice(0, 3).join(', ') + (all.length > 3 ? ` and ${all.length - 3} more` : '')

function runLoop(
  s: Service,
  { name, every, steady, wake, always, turn }: Loop,
  turns: Map<string, { at: number; limit: number }>,
): () => void {
  let rouse: () => void = () => undefined
  let roused = false
  let last = ''
  const ended = new AbortController()
  const wakeUp = () => {
    roused = true
    rouse()
  }
  const unlisten = wake ? s.ledger.listen(wake, wakeUp) : () => undefined
  const going = async () => {
    while (!s.signal.aborted && !ended.signal.aborted) {
      const alive = () => void turns.set(name, { at: performance.now(), limit: patience + every })
      alive()
      const begun = performance.now()
      roused = false
      if (always || s.isReady()) {
        try {
          await turn(alive)
          last = ''
          // Heard of by the one loop that always asks the ledger: any of the others may have said that it is away.
          if (name === 'report') s.hinder('ledger', null)
        } catch (error) {
          if (s.signal.aborted) break
          const message = redact((error as Error).message)
          if (isConnectionProblem(error)) s.hinder('ledger', `the ledger does not answer: ${message}`)
          else if (message !== last) s.log.error({ event: 'loop_failed', loop: name, error }, `${name}: ${message}`)
          last = message
        }
      }
      if (roused) continue
      const pause = steady ? Math.max(every / 10, every - (performance.now() - begun)) : every
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, pause)
        rouse = () => {
          clearTimeout(timer)
          resolve()
        }
        s.signal.addEventListener('abort', rouse, { once: true })
      })
      s.signal.removeEventListener('abort', rouse)
    }
    turns.delete(name)
  }
  const running = going()
  s.onStop(() => Promise.race([running, sleep(3_000, undefined, { ref: false })]))
  return () => {
    ended.abort()
    unlisten()
    rouse()
  }
}
