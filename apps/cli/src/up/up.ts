// `up`: servers, services, and everything that happens to them, until somebody stops it.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { formatDuration } from '@dbops/contract/duration'
import { type Envelope, signalOf } from '@dbops/contract/envelope'
import { listArtifacts } from '@dbops/ledger/artifacts'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { type Config, readConfig } from '@dbops/runtime/config'
import { type App, resolveFor } from '@dbops/runtime/config-owners'
import { type ConfigError, ConfigProblem } from '@dbops/runtime/config-problem'
import { serviceUrl } from '@dbops/runtime/connection'
import { registerSecret } from '@dbops/runtime/redact'
import { blockingRedis, memoryFault } from '@dbops/runtime/redis'
import { claimFolder } from '@dbops/servers/claim'
import type { Context } from '../command.ts'
import { Failed } from '../fail.ts'
import { compileCache, environmentOf, homeOfUp, keepEnvironment, processOfUp, root, type UpFile } from '../home.ts'
import { canShowPages } from '../page/screen.ts'
import { follow } from './follow.ts'
import { sentence } from './sentences.ts'
import { type Servers, startServers } from './servers.ts'
import { type Services, startServices } from './services.ts'
import { teller as openTeller, type Teller } from './teller.ts'
import { openUpPage, type UpPage } from './up-page.ts'

/** Milliseconds from the first Ctrl-C to the moment at which nothing is waited for any more. */
const stopWithin = 14_000

/** Returns when everything has stopped. Errors: ConfigProblem and Failed with exit 2, ServerError; then, too, nothing is left running. */
export async function up({ options, print }: Context): Promise<void> {
  const home = homeOfUp()
  if (processOfUp(home) !== undefined) throw alreadyRunning(home)
  const plan = readPlan(home, options.config, options['sample'] !== false)
  mustBeTheSame(home, plan.config.environment)
  // Passable for others: PostgreSQL's own user has a folder in it. What is in it is closed by its own mode.
  mkdirSync(home, { recursive: true, mode: 0o711 })
  const note = `${plan.file ? shown(plan.file) : 'no configuration'}, kept in ${shown(home)}`
  const lines = openTeller({ json: options.json ?? false, colour: (name, text) => print.colour(name, text) })
  const claim = await claimHome(home, lines)
  const asPage = canShowPages() && !options.json && options['log'] !== true
  const page = asPage ? openUpPage({ environment: plan.config.environment, note, home, print, lines }) : undefined
  const teller = page?.teller ?? lines
  const stopping = stopOnSignal(teller)
  // Nothing else holds this process while the ledger is away: neither children nor their pipes do.
  const alive = setInterval(() => {}, 60_000)
  try {
    keepEnvironment(home, plan.config.environment)
    if (!page) print.environment(plan.config.environment, note)
    await run(home, plan, { yes: options.yes, allowMassDisable: options['allowMassDisable'] === true, teller, page, stopping })
  } catch (error) {
    // Ctrl-C reaches programs that were just starting as well, and their end is told before ours is asked for.
    await new Promise(resolve => setImmediate(resolve))
    if (!stopping.signal.aborted) throw error
  } finally {
    page?.close()
    clearInterval(alive)
    rmSync(join(home, 'up.json'), { force: true })
    claim.release()
  }
  teller.say({ subject: 'up', text: 'everything has stopped' })
}

interface Plan {
  config: Config
  /** Full path; undefined: all defaults, nothing to look after. */
  file: string | undefined
  withSample: boolean
  apps: App[]
}

/** The sample's own plan, unless another was named. The sample platform is started for whatever plan speaks of it. */
function readPlan(home: string, named: string | undefined, sampleWanted: boolean): Plan {
  const file = named !== undefined ? resolve(named) : sampleWanted ? join(root, 'config/sample.yaml') : undefined
  const config = readConfig(file, { env: { ...process.env, DBOPS_HOME: home } })
  const withSample = sampleWanted && file !== undefined && /\$\{SAMPLE_/.test(readFileSync(file, 'utf8'))
  const needsNeo4j = Object.values(config.targets).some(({ engine }) => engine === 'neo4j')
  const apps: App[] = [
    'scheduler',
    'pg-maintainer',
    'redis-inspector',
    'alert-relay',
    ...(needsNeo4j ? (['neo4j-maintainer'] as const) : []),
  ]
  return { config, file, withSample, apps }
}

interface Running {
  yes: boolean | undefined
  allowMassDisable: boolean
  teller: Teller
  page: UpPage | undefined
  stopping: Stopping
}

async function run(home: string, plan: Plan, { yes, allowMassDisable, teller, page, stopping }: Running): Promise<void> {
  const { config, file, withSample } = plan
  const begun = performance.now()
  const { signal } = stopping
  if (!withSample) mustOpen(plan, { ...process.env, DBOPS_HOME: home })
  const servers = await startServers({
    home,
    ledgerUrl: serviceUrl(config, 'ledger') ?? (process.env['DBOPS_LEDGER_URL'] || undefined),
    redisUrl: serviceUrl(config, 'redis') ?? (process.env['DBOPS_REDIS_URL'] || undefined),
    withSample,
    teller,
    signal,
    yes,
    withTerminal: page && (work => page.lend(work)),
  })
  stopping.killNext(servers)
  try {
    await mustNotEvict(servers.redisUrl)
    registerSecret(servers.ledgerUrl)
    const ledger = await openLedger({ url: servers.ledgerUrl, name: `up:${process.pid}`, sessions: 1 })
    const unfollow = await follow(ledger, async ce => teller.event(ce, sentence(ce, await locationOf(ledger, ce))))
    const unwatch = page?.watch(ledger, config)
    try {
      await serve({ home, plan, servers, teller, page, stopping, begun, file, allowMassDisable })
    } finally {
      await unwatch?.()
      await unfollow()
      await ledger.close()
    }
  } finally {
    await servers.stop()
  }
}

async function serve(o: {
  home: string
  plan: Plan
  servers: Servers
  teller: Teller
  page: UpPage | undefined
  stopping: Stopping
  begun: number
  file: string | undefined
  allowMassDisable: boolean
}): Promise<void> {
  const { home, plan, servers, teller, page, stopping, begun, file, allowMassDisable } = o
  const { ledgerUrl, logins, people, redisUrl, redisLogins } = servers
  const variables = { ...servers.variables, DBOPS_HOME: home }
  const env: NodeJS.ProcessEnv = { ...process.env, ...variables, DBOPS_LEDGER_URL: ledgerUrl, DBOPS_REDIS_URL: redisUrl }
  env['NODE_COMPILE_CACHE'] ??= compileCache
  // Of the caller's: one port for four services would be three too few.
  delete env['DBOPS_HTTP_PORT']
  const startedAt = new Date().toISOString()
  let services: Services | undefined
  const tellOthers = () => {
    const list = (services?.list() ?? []).map(({ app, pid }) => ({ app, pid }))
    const { environment } = plan.config
    writeUpFile(home, { pid: process.pid, startedAt, environment, config: file, ledgerUrl, people, redisUrl, variables, services: list })
  }
  if (plan.withSample) servers.plantFault()
  teller.say({ subject: 'up', text: `starting ${plan.apps.join(', ')}` })
  services = startServices({
    apps: plan.apps,
    args: app => [...(file ? ['--config', file] : []), ...(allowMassDisable && app === 'scheduler' ? ['--allow-mass-disable'] : [])],
    env: app => ({ ...env, DBOPS_LEDGER_URL: logins[app] ?? ledgerUrl, DBOPS_REDIS_URL: redisLogins[app] ?? redisUrl }),
    logs: join(home, 'logs'),
    teller,
    changed: tellOthers,
  })
  stopping.killNext(services)
  tellOthers()
  try {
    await Promise.race([stopping.asked, services.wrong, services.ready])
    if (!stopping.signal.aborted) {
      tellReady(teller, services, begun, plan)
      page?.settled()
    }
    await Promise.race([stopping.asked, services.wrong])
  } finally {
    await services.stop()
    teller.say({ subject: 'up', text: 'the services have stopped' })
  }
}

function tellReady(teller: Teller, services: Services, begun: number, { withSample }: Plan) {
  teller.say({ subject: 'up', text: `all services ready in ${formatDuration(performance.now() - begun)}`, tone: 'good' })
  for (const { app, address } of services.list()) teller.say({ subject: app, text: `${address}/health/ready, ${address}/metrics` })
  if (withSample)
    teller.say({
      subject: 'sample',
      text: 'to come within three minutes: purge, vacuum and analyze, a backup and its restore check, views refreshed after data_registered, a slow statement caught, the streams of its Redis looked at, and three things planted: the store "late" is away for a minute, the pools may ask for more connections than there are, and a stream was trimmed before its reader had read it',
    })
  teller.say({ subject: 'up', text: 'in another terminal: ./dbops status, ./dbops runs, ./dbops backups. Ctrl-C stops everything' })
}

/** Where the backup is that an event tells of; undefined for an event of something else, and while the ledger is away. */
async function locationOf(ledger: Ledger, { type, runid }: Envelope): Promise<string | undefined> {
  if (signalOf(type) !== 'backup_completed') return undefined
  const newest = await listArtifacts(ledger, { limit: 20 }).catch(() => [])
  return newest.find(({ run }) => run === runid)?.location
}

interface Stopping {
  signal: AbortSignal
  asked: Promise<void>
  /** What is to be killed when it does not stop in time, or when Ctrl-C comes again. */
  killNext(one: { kill(): void }): void
}

/** Ctrl-C, SIGTERM and a closed terminal stop everything in order; a second Ctrl-C or SIGTERM, and the deadline, at once. */
function stopOnSignal(teller: Teller): Stopping {
  const stopping = new AbortController()
  const asked = Promise.withResolvers<void>()
  const toKill: { kill(): void }[] = []
  const killAll = (why: string) => {
    teller.say({ subject: 'up', text: `${why}: everything is killed`, tone: 'bad' })
    for (const one of toKill) one.kill()
    // Should even that not help: the watchdogs beside each process outlive us.
    setTimeout(() => process.exit(1), 1_000).unref()
  }
  const stop = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) return signal === 'SIGHUP' ? undefined : killAll('asked again')
    teller.say({ subject: 'up', text: `stopping everything in order${signal === 'SIGINT' ? '; Ctrl-C again kills' : ''}` })
    stopping.abort(new Failed('done', 'stopped'))
    asked.resolve()
    setTimeout(() => killAll(`not stopped within ${stopWithin / 1_000} s`), stopWithin).unref()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
  return { signal: stopping.signal, asked: asked.promise, killNext: one => void toKill.push(one) }
}

async function claimHome(home: string, teller: Teller) {
  try {
    return await claimFolder(join(home, 'up'), 'SIGTERM', text => teller.say({ subject: 'up', text }))
  } catch (error) {
    throw processOfUp(home) === undefined ? error : alreadyRunning(home)
  }
}

function alreadyRunning(home: string): Failed {
  const hint = 'stop it: ./dbops down; or use another home: DBOPS_HOME=/path ./dbops up'
  return new Failed('wrong', `already running, pid ${processOfUp(home)}, on ${home}`, { code: 'already_running', hint })
}

/** A home's ledger, stores and history belong to one environment; the plan of another would take its schedules for removed. */
function mustBeTheSame(home: string, environment: string): void {
  const before = environmentOf(home)
  if (before === undefined || before === environment) return
  throw new Failed('wrong', `${shown(home)} holds the data of the environment ${before}; this configuration is of ${environment}`, {
    code: 'other_environment',
    hint: `a home of its own: DBOPS_HOME=/path ./dbops up …; or, if nothing in it is needed any more, ./dbops down --purge`,
  })
}

/** Everything that the services would open must open; they would say so one by one, after the servers have started. */
function mustOpen({ apps, config }: Plan, env: NodeJS.ProcessEnv): void {
  const ours = (error: ConfigError) => (error.path === 'ledger.url' && !config.ledger) || (error.path === 'redis.url' && !config.redis)
  const errors = apps.flatMap(app => resolveFor(app, config, env)).filter(error => !ours(error))
  const once = [...new Map(errors.map(error => [error.path, error])).values()]
  if (once[0]) throw new ConfigProblem(once as [ConfigError, ...ConfigError[]])
}

/** The services would stay not ready for ever. */
async function mustNotEvict(redisUrl: string): Promise<void> {
  const redis = blockingRedis(redisUrl, `up:${process.pid}`)
  try {
    const [message, hint] = (await memoryFault(redis))?.split('; ') ?? []
    if (message) throw new Failed('wrong', message, { code: 'eviction', hint })
  } finally {
    redis.disconnect()
  }
}

/** By rename, so that nobody reads half of it. */
function writeUpFile(home: string, file: UpFile): void {
  const place = join(home, 'up.json')
  writeFileSync(`${place}.new`, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 })
  renameSync(`${place}.new`, place)
}

/** Relative to the current folder where that is shorter. */
const shown = (path: string) => {
  const near = relative(process.cwd(), path)
  return near && near.length < path.length && !near.startsWith('../..') ? near : path
}
