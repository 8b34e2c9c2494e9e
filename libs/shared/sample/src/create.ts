// Makes the sample platform: a database shaped like Axiom's, with its roles, its rows and the dead rows that a busy outbox leaves. It is
// built under another name and renamed when it is whole, so a database of the wanted name is never a half-made one.
import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Client, escapeIdentifier, escapeLiteral } from 'pg'

export interface SampleOptions {
  /** About how many rows over all tables. Default 300,000; below 10,000 the small tables weigh more than their share. */
  rows?: number
  /** Default `axiom`. */
  database?: string
  /** Of all three roles. By default it is derived from the administrator's, and so known only to who knows that one. */
  password?: string
  /** Told one line when there is something to wait for. */
  say?: (line: string) => void
}

export interface Sample {
  /** As `dbops_maintainer`: member of the owner, reads everything, bypasses row level security. */
  url: string
  /** As `axiom_owner`. */
  ownerUrl: string
  /** As `core_app`, which sees the rows of the tenant in `app.current_tenant_id`. */
  appUrl: string
  database: string
}

// In this order; each file is one transaction.
const buildSteps = ['core', 'vision', 'data', 'references', 'indexes', 'views', 'row-security'] as const

const lockTheServer = `SELECT pg_advisory_lock(hashtextextended('dbops:sample', 0))`
const findMark = `SELECT shobj_description(oid, 'pg_database') AS mark FROM pg_database WHERE datname = $1`
// The platform counts its statements; a server that was not started with the library cannot.
const countStatements = `
  DO $$ BEGIN
    IF current_setting('shared_preload_libraries') LIKE '%pg_stat_statements%' THEN CREATE EXTENSION IF NOT EXISTS pg_stat_statements; END IF;
  END $$`
const setForSession = `SELECT set_config($1, $2, false)`

/**
 * Makes the sample's database and roles on the server of `adminUrl` (a superuser's), or returns at once when they are there. What a killed
 * call left is dropped and made anew, and so is a sample of other SQL or another number of rows. Two calls at once queue.
 * Errors: a database or a role of that name that is not the sample's own is never touched; the message says which, `hint` what to do.
 */
export async function createSample(adminUrl: string, options: SampleOptions = {}): Promise<Sample> {
  const { rows = 300_000, database = 'axiom', password = derivedPassword(adminUrl) } = options
  const mark = `sample platform of dbops: ${rows} rows, sql ${sqlDigest}`
  await using admin = await connect(adminUrl)
  await admin.client.query(lockTheServer)

  const found = (await admin.client.query<{ mark: string | null }>(findMark, [database])).rows[0]
  if (found && !found.mark?.startsWith('sample platform of dbops'))
    throw Object.assign(new Error(`database "${database}" on ${new URL(adminUrl).host} exists and is not the sample platform`), {
      hint: 'Give the sample platform a server of its own, or drop that database.',
    })
  await admin.client.query(setForSession, ['sample.password', password])
  await admin.client.query(sql('roles'))
  if (found?.mark !== mark) {
    options.say?.(`making the sample platform: ${rows.toLocaleString('en')} rows in database ${database}`)
    await build(admin.client, { adminUrl, database, rows, mark })
  }
  await using session = await connect(withDatabase(adminUrl, database))
  await session.client.query(countStatements)

  const as = (user: string) => withDatabase(adminUrl, database, { user, password })
  return { url: as('dbops_maintainer'), ownerUrl: as('axiom_owner'), appUrl: as('core_app'), database }
}

async function build(
  admin: Client,
  { adminUrl, database, rows, mark }: { adminUrl: string; database: string; rows: number; mark: string },
) {
  const [name, draft] = [escapeIdentifier(database), escapeIdentifier(`${database}_unfinished`)]
  await admin.query(`DROP DATABASE IF EXISTS ${draft} WITH (FORCE)`)
  await admin.query(`CREATE DATABASE ${draft} OWNER axiom_owner TEMPLATE template0 ENCODING 'UTF8'`)
  await fill(withDatabase(adminUrl, `${database}_unfinished`), rows)
  await admin.query(`COMMENT ON DATABASE ${draft} IS ${escapeLiteral(mark)}`)
  await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  await admin.query(`ALTER DATABASE ${draft} RENAME TO ${name}`)
}

async function fill(url: string, rows: number) {
  await using session = await connect(url)
  const { client } = session
  await client.query(setForSession, ['sample.rows', String(rows)])
  await client.query('SET synchronous_commit = off')
  await client.query('SET maintenance_work_mem = "128MB"')
  await client.query('SET ROLE axiom_owner')
  for (const step of buildSteps) await client.query(sql(step))
  // A fast load has not told its inserts yet, and what is told after ANALYZE is added to what ANALYZE counted.
  await client.query('SELECT pg_stat_force_next_flush()')
  // Before the churn: ANALYZE would put an estimate in the place of the exact number of dead rows.
  await client.query('ANALYZE')
  await client.query(sql('churn'))
}

async function connect(connectionString: string) {
  const client = new Client({ connectionString, application_name: 'dbops-sample' })
  // A connection lost between two queries: the next query says so, and better.
  client.on('error', () => {})
  await client.connect()
  return { client, [Symbol.asyncDispose]: () => client.end() }
}

function withDatabase(url: string, database: string, as?: { user: string; password: string }): string {
  const other = new URL(url)
  other.pathname = `/${encodeURIComponent(database)}`
  if (as) [other.username, other.password] = [as.user, as.password]
  return other.href
}

const sql = (file: string) => readFileSync(new URL(`sql/${file}.sql`, import.meta.url), 'utf8')

const sqlDigest = createHash('sha256')
  .update([...buildSteps, 'churn'].map(sql).join())
  .digest('hex')
  .slice(0, 12)

// The same at each call, so that URLs handed out earlier go on working.
const derivedPassword = (adminUrl: string) =>
  createHmac('sha256', decodeURIComponent(new URL(adminUrl).password))
    .update('sample platform of dbops')
    .digest('base64url')
