// A PgBouncer of Debian's own in front of a PostgreSQL, for tests of what must not pass one.
import { chownSync, writeFileSync } from 'node:fs'
import { findOrInstall } from '@dbops/servers/install'
import { startNative } from '@dbops/servers/native'
import { unprivilegedUser } from '@dbops/servers/unprivileged'
import { Client } from 'pg'

/** `url` of the result leads through it to the database of the `url` given. Whoever connects is let in as the user of that. */
export async function startPgbouncer(url: string, mode: 'session' | 'transaction' | 'statement') {
  const behind = new URL(url)
  const program = await findOrInstall('pgbouncer')
  const user = unprivilegedUser()
  return startNative({
    what: 'PgBouncer',
    user,
    stopWith: [['SIGINT', 5_000]],
    patience: 15_000,
    say: line => console.error(line),
    prepare: (folder, port) => {
      const file = `${folder}/pgbouncer.ini`
      const { hostname, port: theirs, username, password } = behind
      writeFileSync(
        file,
        `[databases]
* = host=${hostname} port=${theirs || 5432} user=${decodeURIComponent(username)} password='${decodeURIComponent(password).replaceAll("'", "''")}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = 5
`,
        { mode: 0o600 },
      )
      if (user) chownSync(file, user.uid, user.gid)
      const through = new URL(url)
      through.host = `127.0.0.1:${port}`
      return Promise.resolve({ argv: [program, file] as [string, string], url: through.href })
    },
    async answers(through) {
      const client = new Client({ connectionString: through })
      client.on('error', () => undefined)
      await client.connect()
      await client.end()
    },
  })
}
