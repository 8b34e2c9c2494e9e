// The way of docs/operate/ledger-lost.md, gone from its first step to its last: the ledger is given up, its dump restored by the manifest's own lines, and work goes on.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLedger } from '@dbops/ledger/ledger'
import { isFinal, list } from '@dbops/ledger/runs'
import { databaseUrl, dropDatabase } from '@dbops/servers/postgres'
import { freshDatabase } from '@dbops/testing/database'
import { startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { expect, inject, test } from 'vitest'
import { dbops as anywhere } from './a-command.ts'

const config = `
environment: test
targets:
  core: { engine: pg, url: "\${CORE_URL}" }
  ledger: { engine: pg, url: "\${LEDGER_CARE_URL}" }
stores: { main: { url: "file://$FOLDER/store", free: 1MiB } }
dumps:
  rows: { target: core, data: all, stores: [main] }
  ledger: { target: ledger, data: all, stores: [main] }
`

test('a ledger that is lost comes back from its dump: no fence is given twice, no backup is forgotten, and work goes on', {
  timeout: 120_000,
}, async () => {
  const core = await freshDatabase()
  const client = new Client(core.url)
  await client.connect()
  await client.query('create table t as select n from generate_series(1, 10) n')
  await client.end()
  const care = await careRole()
  const line = await startLine(config, { CORE_URL: core.url, LEDGER_CARE_URL: '' })
  line.env['LEDGER_CARE_URL'] = Object.assign(new URL(line.ledgerUrl), { username: care.name, password: 'secret' }).href
  try {
    mkdirSync(join(line.folder, 'store'))
    const { name } = await ledgerIsLost(line)
    try {
      const env = { ...line.env, DBOPS_LEDGER_URL: databaseUrl(inject('pgUrl'), name) }
      const early = await anywhere(['ledger', 'restored', '--config', line.configFile, '--yes'], { env })
      const restored = await openLedger({ url: env.DBOPS_LEDGER_URL, name: 'test' })
      await restored.query('delete from services') // a minute passes
      const said = await anywhere(['ledger', 'restored', '--config', line.configFile, '--yes', '--json'], { env })
      const again = await anywhere(['ledger', 'restored', '--config', line.configFile, '--yes', '--json'], { env })
      const [first, second] = [said, again].map(({ stdout }) => JSON.parse(stdout) as { fence: number; listed: number; sealed: number })
      const backups = await anywhere(['backups', '--json'], { env })
      const verdicts = [
        early.code,
        /works? on this ledger/.test(early.stderr),
        first!.fence > 1_000_000,
        first!.listed,
        first!.sealed,
        second!.listed,
      ]
      for (const app of ['scheduler', 'pg-maintainer']) await line.start(`apps/${app}/src/main.ts`, { env, ready: false })
      await until(
        'the run that had been at work is looked after',
        async () => (await list(restored, { limit: 10 })).every(run => isFinal(run.state)),
        { within: 60_000 },
      )
      // The ledger is in its own dump as a run that is at work; its manifest was sealed, so it is adopted and not made again.
      const known = (await list(restored, { limit: 10 })).map(({ operation, mode, state }) => `${mode} ${operation} ${state}`)
      const dumped = await anywhere(['run', 'pg.dump', '--dump', 'rows', '--wait', '--yes', '--json'], { env })
      const { fence } = (await list(restored, { task: 'pg.dump', limit: 1 }))[0]!
      const { rows: listed } = await restored.query('select count(*)::int as n from artifacts')
      await restored.close()
      expect([known.toSorted(), verdicts, backups.stdout.trim().split('\n').length, dumped.code, fence! > first!.fence, listed]).toEqual([
        ['do pg.dump:ledger succeeded', 'do pg.dump:rows succeeded', 'recover pg.dump:ledger succeeded'],
        [4, true, true, 2, 3, 0],
        3,
        0,
        true,
        [{ n: 4 }],
      ])
    } finally {
      await dropDatabase(inject('pgUrl'), name)
    }
  } finally {
    await line.close()
    await core.drop()
    await care.drop()
  }
})

/** The role of the page, which reads all of the ledger and writes nothing. */
async function careRole() {
  const name = `care_${randomBytes(6).toString('hex')}`
  const admin = async (sql: string) => {
    const client = new Client(inject('pgUrl'))
    await client.connect()
    await client.query(sql)
    await client.end()
  }
  await admin(`create role ${name} login bypassrls password 'secret' in role pg_read_all_data, pg_monitor`)
  return { name, drop: () => admin(`drop role ${name}`) }
}

/** Dumps the ledger and, after that, core; stops the services, and restores the dump under another name: the ledger that was is asked no more. */
async function ledgerIsLost(line: Awaited<ReturnType<typeof startLine>>): Promise<{ name: string }> {
  const services = [await line.start('apps/scheduler/src/main.ts'), await line.start('apps/pg-maintainer/src/main.ts')]
  const dump = async (entry: string) => {
    const { code, stderr } = await anywhere(['run', 'pg.dump', '--dump', entry, '--wait', '--yes'], { env: line.env })
    if (code !== 0) throw new Error(stderr)
  }
  await dump('rows')
  await dump('ledger')
  await dump('rows')
  for (const each of services) await each.stop()
  const folder = join(line.folder, 'store/test/postgres/ledger/dump')
  const place = join(folder, readdirSync(folder)[0]!)
  const backup = join(place, readdirSync(place)[0]!)
  const { restore } = JSON.parse(readFileSync(join(backup, 'manifest.json'), 'utf8')) as { restore: string[] }
  const name = `${new URL(line.ledgerUrl).pathname.slice(1)}_restored`
  const server = new URL(inject('pgUrl'))
  execFileSync('sh', ['-c', restore.join('\n')], {
    cwd: backup,
    stdio: 'pipe',
    env: {
      ...process.env,
      DB: name,
      PGHOST: server.hostname,
      PGPORT: server.port,
      PGUSER: decodeURIComponent(server.username),
      PGPASSWORD: decodeURIComponent(server.password),
    },
  })
  return { name }
}
