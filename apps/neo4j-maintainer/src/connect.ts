// One way into a target, with the limits of the platform's own drivers, and what it means when there is no way in.
import { createHash } from 'node:crypto'
import { Problem } from '@dbops/contract/failure'
import type { Neo4jConnection } from '@dbops/runtime/connection'
import neo4j, { type Driver } from 'neo4j-driver'

/** Explicit user and password win over those of the URL; without a user the server must have its authentication switched off. */
export function openDriver(connection: Neo4jConnection, name: string): Driver {
  const { url, user, password } = credentials(connection)
  return neo4j.driver(url, user === undefined ? undefined : neo4j.auth.basic(user, password ?? ''), {
    userAgent: name,
    // seed-table.md 5.2
    maxConnectionPoolSize: 50,
    connectionAcquisitionTimeout: 30_000,
    maxTransactionRetryTime: 15_000,
    connectionTimeout: 5_000,
    disableLosslessIntegers: true,
    telemetryDisabled: true,
  })
}

function credentials({ url: text, user, password }: Neo4jConnection): { url: string; user?: string; password?: string } {
  const url = new URL(text)
  const inUrl = { user: decodeURIComponent(url.username) || undefined, password: decodeURIComponent(url.password) || undefined }
  return { url: `${url.protocol}//${url.host}${url.search}`, user: user ?? inUrl.user, password: password ?? inUrl.password }
}

const wrongCredentials = ['Neo.ClientError.Security.Unauthorized', 'Neo.ClientError.Security.AuthenticationRateLimit']

/**
 * After three wrong passwords Neo4j lets a user in from nowhere for 5 s, also with the right one, and each further try begins that anew: an eager
 * reader with an old secret would shut the platform out. So refused credentials rest for a minute; others are tried at once.
 */
const restFor = 60_000
const refused = new Map<string, { until: number; problem: Problem }>()

/** Runs what talks to the server. Its errors say where and why; refused credentials are not tried again too soon. */
export async function reach<T>(connection: Neo4jConnection, talk: () => Promise<T>, now = performance.now()): Promise<T> {
  const key = createHash('sha256')
    .update(JSON.stringify(credentials(connection)))
    .digest('hex')
  const resting = refused.get(key)
  if (resting && now < resting.until) throw resting.problem
  try {
    const answer = await talk()
    refused.delete(key)
    return answer
  } catch (error) {
    const problem = told(connection, error as Error & { code?: string })
    if (problem instanceof Problem && wrongCredentials.includes((error as { code?: string }).code ?? ''))
      refused.set(key, { until: now + restFor, problem })
    throw problem
  }
}

function told(connection: Neo4jConnection, error: Error & { code?: string }): Error {
  const where = new URL(connection.url).host
  const problem = (message: string, code: string, hint: string) => new Problem(`${where} ${message}`, { code, hint, cause: error })
  switch (error.code) {
    case 'Neo.ClientError.Security.Unauthorized':
      return problem(
        `refuses: ${error.message}`,
        'wrong_password',
        'correct user and password of the target; a new secret is tried at once, the old one once a minute',
      )
    case 'Neo.ClientError.Security.AuthenticationRateLimit':
      return problem(
        `has locked the user out: ${error.message}`,
        'auth_rate_limit',
        'somebody tries wrong passwords (security.log says from where); it opens again 5 s after the last of them',
      )
    case 'Neo.ClientError.Security.CredentialsExpired':
      return problem('wants a new password first', 'password_expired', "ALTER CURRENT USER SET PASSWORD FROM '…' TO '…' on database system")
    case 'ServiceUnavailable':
    case 'SessionExpired': {
      // The driver's own sentence fits every case, and says little; the cause is at its end.
      const cause = /Caused by: (.+)$/s.exec(error.message)?.[1] ?? error.message
      const code = /\bE[A-Z]{4,}\b/.exec(cause)?.[0] ?? 'connection_failed'
      return problem(
        `cannot be reached: ${cause}`,
        code,
        'is the server running there, and does it speak TLS as the URL says (bolt:// or bolt+s://)?',
      )
    }
    default:
      return error
  }
}
