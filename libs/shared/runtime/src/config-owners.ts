// Who opens which secret: the check, before a service starts, that everything it owns can be opened where it runs.
import type { Channel, ConfigFile, Secret, Target } from '@dbops/contract/config-file'
import { openCommandKey } from './command-keys.ts'
import type { Config } from './config.ts'
import type { ConfigError } from './config-problem.ts'
import { withoutValue } from './config-render.ts'
import type { Environment } from './config-variables.ts'
import { openUrl, serviceUrl, type UrlKind } from './connection.ts'
import { openSecret, SecretProblem } from './secret.ts'

export const apps = ['scheduler', 'pg-maintainer', 'neo4j-maintainer', 'redis-inspector', 'alert-relay', 'cli'] as const
export type App = (typeof apps)[number]

export interface Opened {
  /** Of the secret, as errors name it. */
  path: string
  /** Where it comes from, without its value. */
  from: Secret
  /** Why it cannot be opened or used here; null: it can. Never a value. */
  problem: { message: string; hint: string } | null
}

/** Opens everything that `app` owns, in the order of the file. */
export const openAll = (app: App, config: Config, env: Environment = process.env): Opened[] =>
  owned(app, config, env)
    .map(({ path, secret, open }) => ({ path, from: withoutValue(secret), problem: problemOf(open) }))
    .sort((a, b) => config.lineOf(a.path) - config.lineOf(b.path))

/** What of it cannot be opened or used, in the order of the file. */
export const resolveFor = (app: App, config: Config, env: Environment = process.env): ConfigError[] =>
  openAll(app, config, env).flatMap(({ path, problem }) =>
    problem ? [{ file: config.file, line: config.lineOf(path), path, ...problem }] : [],
  )

function problemOf(open: () => unknown): Opened['problem'] {
  try {
    open()
    return null
  } catch (error) {
    if (!(error instanceof SecretProblem)) throw error
    return { message: error.fault, hint: error.hint ?? '' }
  }
}

/** One secret, by itself, so that one that is missing does not hide the next. */
interface Opening {
  path: string
  secret: Secret
  open: () => unknown
}

const engineOf: Partial<Record<App, Target['engine']>> = { 'pg-maintainer': 'pg', 'neo4j-maintainer': 'neo4j', 'redis-inspector': 'redis' }

const owned = (app: App, config: ConfigFile, env: Environment): Opening[] => [
  service('ledger', config, env),
  ...(app === 'cli' ? [] : [service('redis', config, env)]),
  ...Object.entries(config.targets).flatMap(([name, target]) => (target.engine === engineOf[app] ? ofTarget(name, target, env) : [])),
  ...(app === 'scheduler' ? Object.entries(config.commands.keys).map(([name, secret]) => commandKey(name, secret, env)) : []),
  ...(app === 'alert-relay' ? Object.entries(config.alerts.channels).flatMap(([name, channel]) => ofChannel(name, channel, env)) : []),
]

/** No service starts a server of its own in place of one that is not configured, so a missing URL is an error of each. */
function service(name: 'ledger' | 'redis', config: ConfigFile, env: Environment): Opening {
  const [path, variable] = [`${name}.url`, `DBOPS_${name.toUpperCase()}_URL`]
  const open = () => {
    if (serviceUrl(config, name, env) !== undefined) return
    throw new SecretProblem(path, 'is missing', { code: 'missing_url', hint: `write ${name}: { url: "\${${variable}}" }` })
  }
  return { path, secret: config[name]?.url ?? { env: variable }, open }
}

const commandKey = (name: string, secret: Secret, env: Environment): Opening => ({
  path: `commands.keys.${name}`,
  secret,
  open: () => openCommandKey(name, secret, env),
})

function ofTarget(name: string, target: Target, env: Environment): Opening[] {
  const { engine, url, password } = target
  const ca = 'tls' in target ? target.tls?.ca : undefined
  const at = `targets.${name}`
  return [
    ...(url === undefined ? [] : [urlAt(engine, `${at}.url`, url, env)]),
    ...(password === undefined ? [] : [secretAt(`${at}.password`, password, env)]),
    ...(ca === undefined ? [] : [secretAt(`${at}.tls.ca`, ca, env)]),
  ]
}

function ofChannel(name: string, channel: Channel, env: Environment): Opening[] {
  if (channel.type !== 'webhook') return []
  const at = `alerts.channels.${name}`
  return [urlAt('webhook', `${at}.url`, channel.url, env), secretAt(`${at}.secret`, channel.secret, env)]
}

const urlAt = (kind: UrlKind, path: string, secret: Secret, env: Environment): Opening => ({
  path,
  secret,
  open: () => openUrl(kind, secret, path, env),
})
const secretAt = (path: string, secret: Secret, env: Environment): Opening => ({ path, secret, open: () => openSecret(secret, path, env) })
