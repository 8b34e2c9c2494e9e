import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { createDatabase, databaseUrl, dropDatabase, removePostgres, startPostgres } from '../src/postgres.ts'
import { killWatchdogOf, parentOf, runs } from './processes.ts'

const place = mkdtempSync(join(tmpdir(), 'servers-test-'))
// Passable, as PostgreSQL's own user must get in when the tests run as root.
chmodSync(place, 0o711)
afterAll(() => rmSync(place, { recursive: true, force: true }))

test('a server without a folder answers, and leaves neither process nor folder when it is stopped', async () => {
  const server = await startPostgres()
  const [{ folder }] = await query<{ folder: string }>(server.url, `SELECT current_setting('data_directory') AS folder`)
  await server.stop()
  expect([server.source, runs(server.pid), existsSync(folder)]).toEqual(['native', false, false])
})

test('it listens on the loopback address alone, knows the two libraries, and asks for a password', async () => {
  const server = await startPostgres()
  try {
    const facts = await query(
      server.url,
      `SELECT current_setting('listen_addresses') AS listens, current_setting('shared_preload_libraries') AS libraries,
         pg_encoding_to_char(encoding) AS encoding, datcollate AS locale FROM pg_database WHERE datname = 'postgres'`,
    )
    const stranger = await query(server.url.replace(/:[^:@]+@/, ':guess@'), 'SELECT 1').catch((error: Error) => error.message)
    expect([facts, stranger]).toEqual([
      [{ listens: '127.0.0.1', libraries: 'pg_stat_statements,auto_explain', encoding: 'UTF8', locale: 'C.UTF-8' }],
      'password authentication failed for user "postgres"',
    ])
  } finally {
    await server.stop()
  }
})

test('a kept folder keeps its rows and its password over a restart, on another port', async () => {
  const dataDir = join(place, 'kept')
  const first = await startPostgres({ dataDir })
  await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS n')
  await first.stop()
  const second = await startPostgres({ dataDir })
  try {
    const password = (url: string) => new URL(url).password
    expect([await query(second.url, 'SELECT n FROM kept'), password(second.url)]).toEqual([[{ n: 42 }], password(first.url)])
  } finally {
    await second.stop()
  }
})

test('the password beside a kept folder is for its owner alone', async () => {
  const dataDir = join(place, 'secret')
  const server = await startPostgres({ dataDir })
  await server.stop()
  expect((statSync(`${dataDir}.password`).mode & 0o777).toString(8)).toBe('600')
})

test('settings win over ours, and ALTER SYSTEM wins over both', async () => {
  const server = await startPostgres({ settings: { work_mem: '5MB', log_min_duration_statement: '1s' } })
  try {
    await query(server.url, `ALTER SYSTEM SET work_mem = '7MB'`)
    await query(server.url, 'SELECT pg_reload_conf()')
    const workMemory = await until('the reload', async () => {
      const [{ now }] = await query<{ now: string }>(server.url, `SELECT current_setting('work_mem') AS now`)
      return now === '7MB' && now
    })
    const [other] = await query(server.url, `SELECT current_setting('log_min_duration_statement') AS min`)
    expect([workMemory, other]).toEqual(['7MB', { min: '1s' }])
  } finally {
    await server.stop()
  }
})

test('when its parent is killed, the server and its folder go too', async () => {
  const parent = await parentOf('startPostgres', {})
  const [{ folder }] = await query<{ folder: string }>(parent.url, `SELECT current_setting('data_directory') AS folder`)
  parent.process.kill('SIGKILL')
  await until('the server ends', () => !runs(parent.pid))
  await until('its folder goes', () => !existsSync(folder))
  expect([runs(parent.pid), existsSync(folder)]).toEqual([false, false])
})

test('a kept folder of a killed parent opens again at once, with the rows that were committed', async () => {
  const dataDir = join(place, 'killed')
  const parent = await parentOf('startPostgres', { dataDir })
  await query(parent.url, 'CREATE TABLE committed AS SELECT 1 AS n')
  parent.process.kill('SIGKILL')
  const heir = await startPostgres({ dataDir, say: () => {} })
  try {
    expect(await query(heir.url, 'SELECT n FROM committed')).toEqual([{ n: 1 }])
  } finally {
    await heir.stop()
  }
})

test('a folder that a living process serves is refused, and that server goes on', async () => {
  const dataDir = join(place, 'taken')
  const parent = await parentOf('startPostgres', { dataDir })
  try {
    const refusal = await startPostgres({ dataDir }).catch((error: Error) => error.message)
    expect([refusal, await query(parent.url, 'SELECT 1 AS n')]).toEqual([
      `${dataDir} is in use by process ${parent.process.pid}`,
      [{ n: 1 }],
    ])
  } finally {
    parent.process.kill()
    await until('the server ends', () => !runs(parent.pid))
  }
})

test('the server is dead before a new one opens its folder, when both parent and watchdog were killed', async () => {
  const dataDir = join(place, 'orphan')
  const parent = await parentOf('startPostgres', { dataDir })
  killWatchdogOf(parent.pid)
  parent.process.kill('SIGKILL')
  await until('the parent ends', () => !runs(parent.process.pid))
  const orphaned = runs(parent.pid)
  const said: string[] = []
  const heir = await startPostgres({ dataDir, say: line => said.push(line) })
  const left = runs(parent.pid)
  await heir.stop()
  expect([orphaned, left, said]).toEqual([
    true,
    false,
    [`stopping the server that a former run left behind (process ${parent.pid}, ${dataDir})`],
  ])
})

test('an initdb that was killed is done again', async () => {
  const dataDir = join(place, 'halfway')
  const first = await startPostgres({ dataDir })
  await first.stop()
  for (const file of ['global', 'base']) rmSync(join(dataDir, file), { recursive: true })
  writeFileSync(`${dataDir}.unfinished`, '')
  const second = await startPostgres({ dataDir })
  await second.stop()
  expect(readdirSync(dataDir)).toContain('base')
})

test('a kept folder is removed with all that stands beside it', async () => {
  const dataDir = join(place, 'removed')
  const server = await startPostgres({ dataDir })
  await server.stop()
  const before = readdirSync(place).filter(name => name.startsWith('removed'))
  await removePostgres(dataDir)
  expect([before, readdirSync(place).filter(name => name.startsWith('removed'))]).toEqual([
    ['removed', 'removed.log', 'removed.password', 'removed.source'],
    [],
  ])
})

test('a cluster that was not made here is refused', async () => {
  const dataDir = join(place, 'foreign')
  const first = await startPostgres({ dataDir })
  await first.stop()
  rmSync(`${dataDir}.password`)
  await expect(startPostgres({ dataDir })).rejects.toThrow(`${dataDir} holds a PostgreSQL cluster that was not made here`)
})

test('a given URL is used as it is, and not stopped', async () => {
  const url = inject('pgUrl')
  const server = await startPostgres({ url })
  await server.stop()
  expect([server.source, server.url, await query(url, 'SELECT 1 AS n')]).toEqual(['given', url, [{ n: 1 }]])
})

test('a given URL with a wrong password is refused at once', async () => {
  await expect(startPostgres({ url: inject('pgUrl').replace(/:[^:@]+@/, ':guess@') })).rejects.toThrow(
    'PostgreSQL refuses: password authentication failed',
  )
})

test('a server that cannot start says why, from its own log', async () => {
  await expect(startPostgres({ settings: { shared_buffers: 'much' } })).rejects.toThrow(
    /ended while starting[\s\S]*invalid value for parameter "shared_buffers": "much"/,
  )
})

test('a port that somebody has is refused by its number, whatever answers there', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  try {
    await expect(startPostgres({ port })).rejects.toThrow(`PostgreSQL cannot have port ${port}: it is in use`)
  } finally {
    taken.close()
  }
})

test('a start that is called off ends with the reason', async () => {
  await expect(startPostgres({ signal: AbortSignal.abort(new Error('called off')) })).rejects.toThrow('called off')
})

test('a database is made from a template under any name, and dropped with its guests', async () => {
  const url = inject('pgUrl')
  const template = await createDatabase(url, 'servers "template" %')
  await query(template, 'CREATE TABLE inherited AS SELECT 7 AS n')
  const copy = await createDatabase(url, 'servers copy', { template: 'servers "template" %' })
  const rows = await query(copy, 'SELECT n FROM inherited')
  const guest = new Client({ connectionString: copy })
  guest.on('error', () => {})
  await guest.connect()
  await dropDatabase(url, 'servers copy')
  await dropDatabase(url, 'servers "template" %')
  const left = await query(url, `SELECT FROM pg_database WHERE datname LIKE 'servers %'`)
  expect([rows, left, databaseUrl(url, 'a b').endsWith('/a%20b')]).toEqual([[{ n: 7 }], [], true])
})

async function query<Row>(url: string, sql: string): Promise<[Row, ...Row[]]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows as [Row, ...Row[]]
  } finally {
    await client.end()
  }
}
