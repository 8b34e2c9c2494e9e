// One way into a target: where, as whom, how secured, and under which name. It never reconnects: a session that broke is over.
import { checkServerIdentity } from 'node:tls'
import type { RedisConnection } from '@dbops/runtime/connection'
import type { RedisOptions } from 'ioredis'

/** In ms, for the connect and for each command (seed-table.md 5.3). */
const patience = 5_000

export function clientOptions({ url, password, tls }: RedisConnection, name: string): RedisOptions {
  const { protocol, hostname, port, username, password: inUrl, pathname } = new URL(url)
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || 6379),
    username: decodeURIComponent(username) || undefined,
    password: password ?? (decodeURIComponent(inUrl) || undefined),
    db: Number(pathname.slice(1) || 0),
    tls: tls || protocol === 'rediss:' ? tlsOptions(tls ?? { mode: 'verify-full' }) : undefined,
    connectionName: name,
    connectTimeout: patience,
    commandTimeout: patience,
    // A frozen server does not answer our goodbye either.
    disconnectTimeout: 200,
    // CLIENT SETINFO would be one more right to give.
    disableClientInfo: true,
    keepAlive: 10_000,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // It would wait until a server that loads its data is done; we say so instead.
    enableReadyCheck: false,
  }
}

/** `require` encrypts, `verify-ca` knows the issuer, `verify-full` the host's name too; the same words as for PostgreSQL. */
const tlsOptions = ({ mode, ca }: NonNullable<RedisConnection['tls']>): RedisOptions['tls'] => ({
  rejectUnauthorized: mode !== 'require',
  ...(ca ? { ca } : {}),
  checkServerIdentity: mode === 'verify-full' ? checkServerIdentity : () => undefined,
})
