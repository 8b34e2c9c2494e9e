// Where a target is and how to get in, from its entry in the configuration with its secrets opened.
import type { ConfigFile, Neo4jTarget, PgTarget, Target } from '@dbops/contract/config-file'
import type { Environment } from './config-variables.ts'
import { openSecret, SecretProblem } from './secret.ts'

export interface Tls {
  mode: 'require' | 'verify-ca' | 'verify-full'
  /** PEM; without it the system's certificates count. */
  ca?: string
}

/** In pieces, so that a password travels in PGPASSWORD or a startup message and never on a command line. `host` may be the folder of a socket. */
export interface PgConnection {
  engine: 'pg'
  host: string
  port: number
  database: string
  user?: string
  password?: string
  tls?: Tls
}
export interface Neo4jConnection {
  engine: 'neo4j'
  url: string
  user?: string
  password?: string
}
export interface RedisConnection {
  engine: 'redis'
  url: string
  password?: string
  tls?: Tls
}
export type Connection<T extends Target = Target> = T extends PgTarget
  ? PgConnection
  : T extends Neo4jTarget
    ? Neo4jConnection
    : RedisConnection

/** What a URL leads to, and how such a URL begins. */
export const urlKinds = {
  pg: { title: 'PostgreSQL', schemes: ['postgres', 'postgresql'], example: 'postgres://user:password@host:5432/database' },
  neo4j: {
    title: 'Neo4j',
    schemes: ['bolt', 'bolt+s', 'bolt+ssc', 'neo4j', 'neo4j+s', 'neo4j+ssc'],
    example: 'bolt://host:7687',
  },
  redis: { title: 'Redis', schemes: ['redis', 'rediss'], example: 'redis://:password@host:6379' },
  webhook: { title: 'a webhook', schemes: ['https', 'http'], example: 'https://host/path' },
} as const
export type UrlKind = keyof typeof urlKinds

/** What is wrong with a URL, without a word of it but its scheme; undefined when it can be used. */
export function urlFault(kind: UrlKind, text: string): { message: string; hint: string } | undefined {
  const wrong = schemeFault(kind, text)
  if (wrong) return wrong
  const { title, example } = urlKinds[kind]
  const hint = `write ${example}`
  const url = URL.parse(text)
  if (!url) return { message: `is a malformed URL of ${title}`, hint: `${hint}; special characters of a password are written as %XX` }
  if (!url.hostname && !(kind === 'pg' && url.searchParams.get('host'))) return { message: `is a URL of ${title} without a host`, hint }
  if (!decodable(url)) return { message: `is a URL of ${title} with a broken %XX`, hint: 'write a "%" of a password as %25' }
  return kind === 'pg' ? pgFault(url) : undefined
}

/** As `urlFault`, for a text of which only the beginning is known (the rest is in variables). */
export function schemeFault(kind: UrlKind, text: string): { message: string; hint: string } | undefined {
  const { title, schemes, example } = urlKinds[kind]
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (!scheme) return { message: `is no URL of ${title}`, hint: `write ${example}` }
  if ((schemes as readonly string[]).includes(scheme)) return undefined
  if (kind === 'pg' && /^postgres(ql)?\+/.test(scheme))
    return { message: `begins with ${scheme}://, the form of a driver`, hint: 'leave the driver out: postgresql://…' }
  return {
    message: `begins with ${scheme}://, expected ${title}: ${schemes.map(known => `${known}://`).join(' or ')}`,
    hint: `write ${example}`,
  }
}

function pgFault(url: URL): { message: string; hint: string } | undefined {
  if (url.pathname.length < 2) return { message: 'is a URL of PostgreSQL without a database', hint: `write ${urlKinds.pg.example}` }
  const odd = [...url.searchParams.keys()].find(key => key !== 'sslmode' && key !== 'host')
  if (odd) return { message: `has the URL parameter "${odd}", which is not read`, hint: 'leave it out; read are sslmode and host' }
  const mode = url.searchParams.get('sslmode')
  if (mode !== null && !['disable', ...tlsModes].includes(mode))
    return { message: `has sslmode=${mode}, which promises nothing`, hint: `write sslmode=disable, ${tlsModes.join(', ')}` }
  return undefined
}

const tlsModes = ['require', 'verify-ca', 'verify-full'] as const

/**
 * The connection of the target `name`, with its secrets opened. Throws a SecretProblem: `missing_variable`, `missing_secret_file`, or
 * `bad_url` for a URL that can be judged only now; the message never holds the URL.
 */
export function targetUrl<T extends Target>(name: string, target: T, env: Environment = process.env): Connection<T> {
  return connectionOf(`targets.${name}`, target, env) as Connection<T>
}

function connectionOf(path: string, target: Target, env: Environment): Connection {
  const password = target.password === undefined ? undefined : openSecret(target.password, `${path}.password`, env)
  if (target.engine === 'neo4j')
    return {
      engine: 'neo4j',
      url: openUrl('neo4j', target.url, `${path}.url`, env),
      ...(target.user ? { user: target.user } : {}),
      ...(password ? { password } : {}),
    }
  const ca = target.tls?.ca === undefined ? undefined : openSecret(target.tls.ca, `${path}.tls.ca`, env)
  const tls: Tls | undefined = target.tls && { mode: target.tls.mode, ...(ca ? { ca } : {}) }
  if (target.engine === 'redis')
    return {
      engine: 'redis',
      url: openUrl('redis', target.url, `${path}.url`, env),
      ...(password ? { password } : {}),
      ...(tls ? { tls } : {}),
    }
  const pieces = target.url === undefined ? undefined : pgPieces(openUrl('pg', target.url, `${path}.url`, env))
  return defined<PgConnection>({
    engine: 'pg',
    // Presence of either the URL or host and database is checked when the file is read.
    host: pieces?.host ?? target.host!,
    port: pieces?.port ?? target.port ?? 5432,
    database: pieces?.database ?? target.database!,
    user: target.user ?? pieces?.user,
    password: password ?? pieces?.password,
    tls: tls ?? pieces?.tls,
  })
}

/** The URL of the ledger or of the operations Redis, from the file or else from DBOPS_LEDGER_URL / DBOPS_REDIS_URL; undefined when neither names one. */
export function serviceUrl(
  config: Pick<ConfigFile, 'ledger' | 'redis'>,
  service: 'ledger' | 'redis',
  env: Environment = process.env,
): string | undefined {
  const variable = `DBOPS_${service.toUpperCase()}_URL`
  const secret = config[service]?.url ?? (env[variable] ? { env: variable } : undefined)
  return secret === undefined ? undefined : openUrl(service === 'ledger' ? 'pg' : 'redis', secret, `${service}.url`, env)
}

/** Opens a secret that must be a URL of this kind. */
export function openUrl(kind: UrlKind, secret: Parameters<typeof openSecret>[0], path: string, env: Environment): string {
  const url = openSecret(secret, path, env)
  const fault = urlFault(kind, url)
  if (fault) throw new SecretProblem(path, fault.message, { code: 'bad_url', hint: fault.hint })
  return url
}

function pgPieces(text: string): Omit<PgConnection, 'engine'> {
  const url = new URL(text)
  const mode = url.searchParams.get('sslmode')
  return defined({
    host: url.searchParams.get('host') || url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port || 5432),
    database: decodeURIComponent(url.pathname.slice(1)),
    user: decodeURIComponent(url.username) || undefined,
    password: decodeURIComponent(url.password) || undefined,
    tls: mode && mode !== 'disable' ? { mode: mode as Tls['mode'] } : undefined,
  })
}

/** Without the keys whose value is undefined. */
const defined = <T extends object>(pieces: { [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(pieces).filter(([, value]) => value !== undefined)) as T

function decodable(url: URL): boolean {
  try {
    return [url.username, url.password, url.pathname].every(part => decodeURIComponent(part) !== undefined)
  } catch {
    return false
  }
}
