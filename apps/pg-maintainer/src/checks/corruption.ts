// Tables and indexes are sound page by page, as pg_amcheck reads them: an index out of order answers wrongly and says nothing.
import { join } from 'node:path'
import { escapeIdentifier } from 'pg'
import { type Check, type Copy, NotChecked, plant } from '../restore/check.ts'
import { swapEntries } from '../restore/damage.ts'
import { toolFailed } from '../tool.ts'

const hasAmcheck = `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'amcheck') AS available`
const installed = `SELECT FROM pg_extension WHERE extname = 'amcheck'`
const fileOfIndex = `SELECT format('base/%s/%s', (SELECT oid FROM pg_database WHERE datname = $1), pg_relation_filenode($2::regclass)) AS path`

export const corruption: Check = {
  name: 'corruption',
  about: 'every page of every table and index is sound',
  level: 'pages',
  check: copy => look(copy),
  async control(copy) {
    // In the database that others are made from; the restored one was not.
    const [sound, damaged, table] = ['template1', 'dbops_control_damaged', 'public.dbops_control']
    const session = await copy.open(sound)
    await plant(session, `CREATE TABLE ${table} (id int PRIMARY KEY)`, `INSERT INTO ${table} SELECT generate_series(1, 100)`)
    await session[Symbol.asyncDispose]()
    try {
      await damagedCopy(copy, sound, damaged, `${table}_pkey`)
      return await look({ ...copy, database: damaged }, [`--index=${table}_pkey`])
    } finally {
      await plant(copy.pg, `DROP DATABASE IF EXISTS ${damaged} WITH (FORCE)`)
      await using again = await copy.open(sound)
      await plant(again, `DROP TABLE ${table}`)
    }
  },
}

/** A copy of a database, one index of which is out of order on disk before anybody has read it. False where it is too small for that. */
export async function damagedCopy({ pg, server, open }: Copy, from: string, to: string, index: string): Promise<boolean> {
  // Files are copied as they are, past the server's buffers: what is damaged afterwards is what the next reader sees.
  await plant(pg, `CREATE DATABASE ${escapeIdentifier(to)} TEMPLATE ${escapeIdentifier(from)} STRATEGY file_copy`)
  const session = await open(from)
  const [file] = await session.query<{ path: string }>(fileOfIndex, [to, index])
  await session[Symbol.asyncDispose]()
  return swapEntries(join(server.data, file!.path))
}

async function look({ database, open, tool, thorough }: Copy, only: string[] = []): Promise<string[]> {
  await using session = await open(database)
  const [{ available }] = (await session.query<{ available: boolean }>(hasAmcheck)) as [{ available: boolean }]
  if (!available) throw new NotChecked('the extension amcheck is not installed beside this maintainer')
  const wasThere = (await session.query(installed)).length > 0
  if (!wasThere) await plant(session, 'CREATE EXTENSION amcheck SCHEMA pg_catalog')
  try {
    const amcheck = await tool('pg_amcheck', [
      '--no-password',
      // Whether each row is in each index: five times the time.
      ...(thorough ? ['--heapallindexed'] : []),
      '--jobs=2',
      `--database=${database}`,
      ...only,
    ])
    const said = await textOf(amcheck.stdout)
    const end = await amcheck.done
    if (end.code === 0) return []
    // 2: it has found something, and says it on standard output.
    if (end.code === 2 && said) return said.replaceAll(/\n\s+/g, ' ').split('\n')
    throw toolFailed('pg_amcheck', end)
  } finally {
    if (!wasThere) await plant(session, 'DROP EXTENSION amcheck')
  }
}

async function textOf(output: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of output) chunks.push(chunk)
  } catch {
    // That it ended with a code is seen by the code.
  }
  return Buffer.concat(chunks).toString('utf8').trim()
}
