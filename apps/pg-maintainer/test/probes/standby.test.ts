// pg.health on a primary with a real standby, and on the standby: how far behind, also when nothing happens and when the standby stands still.
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { findOrInstall } from '@dbops/servers/install'
import { startPostgres } from '@dbops/servers/postgres'
import type { Server } from '@dbops/servers/resolve'
import { unprivilegedUser } from '@dbops/servers/unprivileged'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import health from '../../src/probes/health.ts'
import { lookOnce, probesIn } from '../harness.ts'

// Sampling takes seconds, and is tried elsewhere.
const probes = (await probesIn()).filter(([name]) => name !== 'pg.slow-statements')

let primary: Server
let standby: Server
let folder: string
const clients: Client[] = []
beforeAll(async () => {
  primary = await startPostgres({ version: '15' })
  const user = unprivilegedUser()
  folder = mkdtempSync(join(tmpdir(), 'dbops-standby-'))
  chmodSync(folder, 0o711)
  if (user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const program = join(dirname(await findOrInstall('postgres@15')), 'pg_basebackup')
  const { password } = new URL(primary.url)
  execFileSync(program, ['-d', primary.url, '-D', data, '-R', '--checkpoint=fast', '--no-sync'], {
    uid: user?.uid,
    gid: user?.gid,
    cwd: folder,
  })
  // The password of a copy is that of its original.
  writeFileSync(`${data}.password`, `${decodeURIComponent(password)}\n`, { mode: 0o600 })
  standby = await startPostgres({ version: '15', dataDir: data, settings: { fsync: 'off' } })
})
afterAll(async () => {
  for (const client of clients) await client.end()
  await standby.stop()
  await primary.stop()
  rmSync(folder, { recursive: true, force: true })
})

test('who has replayed all that there is is not behind, on either side', async () => {
  await until('both know it', async () => (await lag(primary)).bytes === 0 && (await lag(standby)).bytes === 0)
  expect([await lag(primary), await lag(standby)]).toEqual([
    { standby: false, seconds: 0, bytes: 0, reason: null },
    { standby: true, seconds: 0, bytes: 0, reason: null },
  ])
})

test('a standby that stands still is behind on both sides, and not any more when it goes on', async () => {
  const [above, below] = [await client(primary), await client(standby)]
  // A standby knows how old its data is once it has replayed a commit.
  await above.query('CREATE TABLE first ()')
  await until('it is replayed', async () => (await below.query(`SELECT WHERE to_regclass('first') IS NOT NULL`)).rowCount)
  await below.query('SELECT pg_wal_replay_pause()')
  await above.query('CREATE TABLE written AS SELECT generate_series(1, 1000)')
  await until('both know the bytes', async () => (await lag(primary)).bytes! > 10_000 && (await lag(standby)).bytes! > 10_000)
  const { seconds } = await lag(standby)
  await below.query('SELECT pg_wal_replay_resume()')
  await until('it has caught up', async () => (await lag(primary)).bytes === 0 && (await lag(standby)).seconds === 0)
  expect(seconds).toBeGreaterThan(0)
})

test.each(probes)('%s reads a standby', async (_, probe) => {
  await expect(lookOnce(probe, standby.url)).resolves.toMatchObject({ result: expect.anything() as unknown })
})

async function lag({ url }: Server) {
  const { result } = await lookOnce(health, url)
  return {
    standby: result.standby,
    seconds: result.replicationLagSeconds as number | null,
    bytes: result.replicationLagBytes as number | null,
    reason: result.replicationLagReason,
  }
}

async function client({ url }: Server): Promise<Client> {
  const opened = new Client(url)
  await opened.connect()
  clients.push(opened)
  return opened
}
