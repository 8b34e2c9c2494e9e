// A PostgreSQL server that is thrown away: how it can be reached, and that nothing of it survives, whatever dies.
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, test } from 'vitest'
import { installedPostgres } from '../src/install.ts'
import { type ScratchServer, scratchPlace, startScratchPostgres, sweepScratch } from '../src/scratch-postgres.ts'
import { killWatchdogOf, parentOf, runs } from './processes.ts'

const { program } = installedPostgres()[0]!
const named = (what: string) => `servers-${process.pid}-${what}`
const folderOf = (what: string) => join(scratchPlace(), `dbops-scratch-${named(what)}`)

test('it is reached by its socket alone, in a folder that nobody else may enter, and nothing in it acts by itself', async () => {
  await using server = await startScratchPostgres({ name: named('socket'), program })
  const { rows } = await query(
    server,
    `SELECT current_setting('listen_addresses') AS listens, current_setting('shared_preload_libraries') AS preloads,
            current_setting('max_logical_replication_workers') AS workers, current_setting('archive_mode') AS archives`,
  )
  expect([rows, statSync(server.folder).mode & 0o777, statSync(join(server.folder, `.s.PGSQL.${server.port}`)).mode & 0o777]).toEqual([
    [{ listens: '', preloads: '', workers: '0', archives: 'off' }],
    0o700,
    0o700,
  ])
})

test('stopped, it leaves neither process, nor folder, nor claim', async () => {
  const server = await startScratchPostgres({ name: named('stopped'), program })
  await server.stop()
  await server.stop()
  expect([runs(server.pid), existsSync(server.folder), existsSync(`${server.folder}.claim`)]).toEqual([false, false, false])
})

test('a start that fails leaves nothing either, and says why', async () => {
  const starting = startScratchPostgres({ name: named('failed'), program, settings: { shared_buffers: 'much' } })
  await expect(starting).rejects.toThrow(/invalid value for parameter "shared_buffers"/)
  expect([existsSync(folderOf('failed')), existsSync(`${folderOf('failed')}.claim`)]).toEqual([false, false])
})

test('killed together with its watchdog, it is ended and removed by the next sweep', async () => {
  const parent = await parentOf('startScratchPostgres', { name: named('orphan'), program })
  killWatchdogOf(parent.pid)
  parent.process.kill('SIGKILL')
  await once(parent.process, 'exit')
  const before = [runs(parent.pid), existsSync(folderOf('orphan'))]
  const swept = await sweepScratch()
  expect([before, swept.includes(`dbops-scratch-${named('orphan')}`), runs(parent.pid), existsSync(folderOf('orphan'))]).toEqual([
    [true, true],
    true,
    false,
    false,
  ])
})

test('a sweep leaves alone what a living process has, and takes a folder that nobody has claimed', async () => {
  await using server = await startScratchPostgres({ name: named('living'), program })
  mkdirSync(folderOf('unclaimed'))
  const swept = await sweepScratch()
  expect([swept.includes(`dbops-scratch-${named('living')}`), swept.includes(`dbops-scratch-${named('unclaimed')}`)]).toEqual([false, true])
  expect((await query(server, 'SELECT 1 AS n')).rows).toEqual([{ n: 1 }])
})

test('what another container has claimed is left alone as long as it gives signs of life', async () => {
  const claim = `${folderOf('elsewhere')}.claim`
  mkdirSync(folderOf('elsewhere'))
  writeFileSync(claim, JSON.stringify({ owner: { pid: 1, born: '1' }, space: 'pid:[1]' }))
  const name = `dbops-scratch-${named('elsewhere')}`
  const first = (await sweepScratch()).includes(name)
  utimesSync(claim, new Date(), new Date(Date.now() - 600_000))
  const second = (await sweepScratch()).includes(name)
  expect([first, second, existsSync(claim)]).toEqual([false, true, false])
})

test('roles of the original can all be made: the superuser has a name of its own', async () => {
  await using server = await startScratchPostgres({ name: named('roles'), program })
  await query(server, 'CREATE ROLE postgres NOLOGIN')
  expect((await query(server, 'SELECT current_user AS name')).rows).toEqual([{ name: server.user }])
})

test('its password is in a file that only its user may read', async () => {
  await using server = await startScratchPostgres({ name: named('password'), program })
  const file = join(server.folder, 'data.password')
  expect([statSync(file).mode & 0o077, readFileSync(file, 'utf8') === server.password]).toEqual([0, true])
})

async function query({ host, port, user, password }: ScratchServer, sql: string) {
  const client = new Client({ host, port, user, password, database: 'postgres' })
  await client.connect()
  try {
    return await client.query<Record<string, unknown>>(sql)
  } finally {
    await client.end()
  }
}
