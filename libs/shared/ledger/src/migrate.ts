// Brings the ledger's schema up to date: ordered SQL files, each in a transaction, under one lock. Each file's first line names the programs it serves.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { Problem } from '@dbops/contract/failure'
import { Client, type ClientConfig } from 'pg'
import { programVersion } from './program-version.ts'

const folder = new URL('../migrations/', import.meta.url)

const schema = 'create schema if not exists dbops'
const versions = `
  create table if not exists dbops.migrations (
    name       text primary key,
    sha256     text not null,
    serves     text not null,
    applied_at timestamptz not null default now()
  )`
// An arbitrary constant: the lock that every starting service takes, so that one of them migrates and the others wait.
const lock = 'select pg_advisory_xact_lock(7305218)'

type Applied = Pick<Migration, 'name' | 'sha256' | 'serves'>
interface Migration {
  name: string
  sql: string
  sha256: string
  serves: string
}

function migrations(): Migration[] {
  const names = readdirSync(folder).filter(name => name.endsWith('.sql'))
  return names.sort().map(name => {
    const sql = readFileSync(new URL(name, folder), 'utf8')
    const serves = /^-- serves: (.+)$/m.exec(sql)?.[1] ?? ''
    return { name, sql, sha256: createHash('sha256').update(sql).digest('hex'), serves }
  })
}

/** `apply` runs what is missing; `expect` (the command line) only refuses a ledger that lacks something. */
export async function migrate(settings: ClientConfig, how: 'apply' | 'expect'): Promise<string[]> {
  const client = new Client(settings)
  client.on('error', () => undefined)
  await client.connect()
  try {
    const known = await applied(client)
    refuseNewer(known)
    const missing = migrations().filter(migration => !known.has(migration.name))
    if (!missing.length) return []
    if (how === 'expect')
      throw new Problem(`the ledger lacks ${missing.map(m => m.name).join(', ')}`, {
        code: 'ledger_outdated',
        hint: 'start the services of this version once: they bring it up to date',
      })
    return await apply(client).catch((error: Error & { code?: string }) => {
      if (error.code !== '42501') throw error
      throw new Problem(`the ledger is to be brought up to date, and this role may not do that: ${error.message}`, {
        code: 'ledger_outdated',
        hint: 'run "dbops ledger migrate" with the login that owns the ledger, then start this again',
      })
    })
  } finally {
    await client.end()
  }
}

async function applied(client: Client): Promise<Map<string, Applied>> {
  const { rows: found } = await client.query(`select to_regclass('dbops.migrations') is not null as there`)
  if (!found[0].there) return new Map()
  const { rows } = await client.query<Applied>('select name, sha256, serves from dbops.migrations')
  return new Map(rows.map(row => [row.name, row]))
}

/** A migration of a newer release says from which program on it can be lived with: an older one must not write. */
function refuseNewer(known: Map<string, Applied>) {
  const newer = [...known.values()].find(({ serves }) => compareVersions(programVersion, serves.split(' to ')[0]!) < 0)
  if (newer)
    throw new Problem(
      `the ledger was migrated (${newer.name}) for programs from ${newer.serves.split(' to ')[0]} on; this is ${programVersion}`,
      {
        code: 'ledger_newer',
        hint: 'start the newer release; an older one cannot read this ledger',
      },
    )
}

const compareVersions = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })

async function apply(client: Client): Promise<string[]> {
  await client.query('begin')
  await client.query(lock)
  await client.query(schema)
  await client.query(versions)
  const known = await applied(client)
  refuseNewer(known)
  const done: string[] = []
  for (const { name, sql, sha256, serves } of migrations()) {
    if (known.has(name)) {
      if (known.get(name)!.sha256 !== sha256)
        throw new Problem(`migration ${name} was changed after it ran in this ledger`, {
          code: 'ledger_mismatch',
          hint: 'a migration that has run is never edited: write a new one',
        })
      continue
    }
    await client.query(sql)
    await client.query('insert into dbops.migrations (name, sha256, serves) values ($1, $2, $3)', [name, sha256, serves])
    done.push(name)
  }
  await client.query('commit')
  return done
}
