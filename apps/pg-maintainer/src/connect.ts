// One way into a target for our own sessions and for libpq's: where, as whom, how secured, and under which name.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, checkServerIdentity, rootCertificates } from 'node:tls'
import type { PgConnection } from '@dbops/runtime/connection'
import type { ClientConfig } from 'pg'

/** A server that does not answer is found out within this time, in seconds. */
const patience = 10

/** For messages: no user, no password. */
export const where = ({ host, port, database }: PgConnection) => `${host}:${port}/${database}`

export const clientConfig = (connection: PgConnection, name: string): ClientConfig => ({
  host: connection.host,
  port: connection.port,
  database: connection.database,
  user: connection.user,
  password: connection.password,
  application_name: name,
  ssl: connection.tls ? tlsOptions(connection.tls) : false,
  keepAlive: true,
  keepAliveInitialDelayMillis: 30_000,
  connectionTimeoutMillis: patience * 1_000,
})

/** The words mean what they mean to libpq: `require` encrypts, `verify-ca` knows the issuer, `verify-full` the host's name too. */
const tlsOptions = ({ mode, ca }: NonNullable<PgConnection['tls']>): ConnectionOptions => ({
  rejectUnauthorized: mode !== 'require',
  ...(ca ? { ca } : {}),
  checkServerIdentity: mode === 'verify-full' ? checkServerIdentity : () => undefined,
})

/** The environment that leads libpq's programs to the same place, and nothing of ours beside it. `remove` deletes what it needed on disk. */
export function libpqEnvironment(connection: PgConnection, name: string, options: string): { env: NodeJS.ProcessEnv; remove: () => void } {
  const { host, port, database, user, password, tls } = connection
  const { PATH, HOME, TMPDIR } = process.env
  const folder = tls && tls.mode !== 'require' ? mkdtempSync(join(tmpdir(), 'dbops-tls-')) : undefined
  const ca = folder && join(folder, 'ca.pem')
  if (ca) writeFileSync(ca, tls?.ca ?? rootCertificates.join('\n'), { mode: 0o600 })
  const env = {
    PATH,
    HOME,
    TMPDIR,
    // Messages of the programs are read by people and by us: in one language.
    LC_ALL: 'C.UTF-8',
    PGHOST: host,
    PGPORT: String(port),
    PGDATABASE: database,
    PGUSER: user,
    // In the environment, which only the same user may read; a command line may be read by everybody.
    PGPASSWORD: password,
    PGAPPNAME: name,
    PGSSLMODE: tls?.mode ?? 'disable',
    PGSSLROOTCERT: ca,
    PGCONNECT_TIMEOUT: String(patience),
    PGOPTIONS: options,
  }
  return { env, remove: () => folder && rmSync(folder, { recursive: true, force: true }) }
}
