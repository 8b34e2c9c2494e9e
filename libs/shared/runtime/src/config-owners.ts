// Who opens which secret: the check, before a service starts, that everything it owns can be opened where it runs.
import type { Channel, ConfigFile, Target } from '@dbops/contract/config-file'
import { openCommandKey } from './command-keys.ts'
import type { Config } from './config.ts'
import type { ConfigError } from './config-problem.ts'
import type { Environment } from './config-variables.ts'
import { openUrl, serviceUrl } from './connection.ts'
import { openSecret, SecretProblem } from './secret.ts'

export const apps = ['scheduler', 'pg-maintainer', 'neo4j-maintainer', 'redis-inspector', 'alert-relay', 'cli'] as const
export type App = (typeof apps)[number]

/** Opens everything that `app` owns; what cannot be opened or used comes back, in the order of the file. Never a value. */
export function resolveFor(app: App, config: Config, env: Environment = process.env): ConfigError[] {
  const errors = owned(app, config, env).flatMap(open => {
    try {
      open()
      return []
    } catch (error) {
      if (!(error instanceof SecretProblem)) throw error
      const { path, fault, hint = '' } = error
      return [{ file: config.file, line: config.lineOf(path), path, message: fault, hint }]
    }
  })
  return errors.sort((a, b) => a.line - b.line)
}

type Opening = () => unknown

const engineOf: Partial<Record<App, Target['engine']>> = { 'pg-maintainer': 'pg', 'neo4j-maintainer': 'neo4j', 'redis-inspector': 'redis' }

const owned = (app: App, config: ConfigFile, env: Environment): Opening[] => [
  service('ledger', config, env),
  ...(app === 'cli' ? [] : [service('redis', config, env)]),
  ...Object.entries(config.targets).flatMap(([name, target]) => (target.engine === engineOf[app] ? ofTarget(name, target, env) : [])),
  ...(app === 'scheduler'
    ? Object.entries(config.commands.keys).map(
        ([name, secret]) =>
          () =>
            openCommandKey(name, secret, env),
      )
    : []),
  ...(app === 'alert-relay' ? Object.entries(config.alerts.channels).flatMap(([name, channel]) => ofChannel(name, channel, env)) : []),
]

/** No service starts a server of its own in place of one that is not configured, so a missing URL is an error of each. */
const service = (name: 'ledger' | 'redis', config: ConfigFile, env: Environment) => (): void => {
  if (serviceUrl(config, name, env) !== undefined) return
  const hint = `write ${name}: { url: "\${DBOPS_${name.toUpperCase()}_URL}" }`
  throw new SecretProblem(`${name}.url`, 'is missing', { code: 'missing_url', hint })
}

/** Each secret by itself, so that one that is missing does not hide the next. */
function ofTarget(name: string, target: Target, env: Environment): Opening[] {
  const at = (key: string) => `targets.${name}.${key}`
  const { url, password } = target
  const ca = 'tls' in target ? target.tls?.ca : undefined
  return [
    () => url !== undefined && openUrl(target.engine, url, at('url'), env),
    () => password !== undefined && openSecret(password, at('password'), env),
    () => ca !== undefined && openSecret(ca, at('tls.ca'), env),
  ]
}

function ofChannel(name: string, channel: Channel, env: Environment): Opening[] {
  if (channel.type !== 'webhook') return []
  const at = (key: string) => `alerts.channels.${name}.${key}`
  return [() => openUrl('webhook', channel.url, at('url'), env), () => openSecret(channel.secret, at('secret'), env)]
}
