// Drives a task's handlers on a real database and a real store, as the runner does, without ledger and queue.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { ManifestHead } from '@dbops/artifacts/manifest'
import { openStore } from '@dbops/artifacts/open-store'
import { type ArtifactWriter, artifactWriter } from '@dbops/artifacts/writer'
import { type PgTarget, pgTarget } from '@dbops/contract/config-file'
import type { AnyContext, Backups, Fault, Look, Probe, Proof, Task } from '@dbops/contract/task'
import { type OpenTarget, type Session, sessionName } from '@dbops/runtime/engine'
import { aLook } from '@dbops/testing/a-look'
import { freshDatabase } from '@dbops/testing/database'
import { Client } from 'pg'
import { postgres } from '../src/postgres.ts'
import type { PostgresVerbs } from '../src/task.ts'

export const installation = 'beef0001'
// Test files share one server, and the end of an attempt ends all sessions of its fence there.
let fences = 1_000 + Math.floor(Math.random() * 1e9)

export const targetOf = (url: string): OpenTarget<PgTarget> => ({
  name: 'core',
  config: pgTarget.parse({ engine: 'pg', url }),
  environment: 'test',
})

export interface Try {
  c: AnyContext & PostgresVerbs
  name: string
  fence: number
  abort: AbortController
  writer: ArtifactWriter
  /** The folder of the attempt's files. */
  folder: string
  lost: Error[]
  progress: string[]
  /** What it reported with `found`. */
  found: Fault[]
  session: Session<PostgresVerbs>
  close(): Promise<void>
}

/** One attempt of `task` as the runner begins it. */
export async function attempt(
  task: Task<PostgresVerbs>,
  url: string,
  {
    params = {},
    entries = {},
    free = '1MiB',
    cutOff = null,
  }: { params?: Record<string, unknown>; entries?: Record<string, unknown>; free?: string; cutOff?: Date | null } = {},
): Promise<Try> {
  const fence = fences++
  const name = sessionName(installation, fence, task.name)
  const abort = new AbortController()
  const lost: Error[] = []
  const session = (await postgres.open(targetOf(url), {
    name,
    locks: [],
    signal: abort.signal,
    guard: () => Promise.resolve(),
    onLost: error => {
      lost.push(error)
      abort.abort(error)
    },
  })) as Session<PostgresVerbs>
  const root = mkdtempSync(join(tmpdir(), 'dbops-store-'))
  const place = `attempt/${fence}`
  const writer = artifactWriter(await openStore('main', { url: `file://${root}`, free }), place)
  const progress: string[] = []
  const found: Fault[] = []
  const c: AnyContext & PostgresVerbs = {
    target: { name: 'core', engine: 'pg', labels: {}, config: targetOf(url).config },
    run: {
      id: '00000000-0000-7000-8000-000000000001',
      attempt: 1,
      fence,
      bornAt: new Date(),
      slot: null,
      cutOff,
      environment: 'test',
      installation,
    },
    params: task.params.parse(params),
    entries,
    plan: undefined,
    state: undefined,
    signal: abort.signal,
    artifact: writer,
    backups: noBackups,
    guard: () => {
      abort.signal.throwIfAborted()
      return Promise.resolve()
    },
    save: () => Promise.resolve(),
    park: () => Promise.reject(new Error('parked')),
    as: () => undefined,
    found: faults => {
      found.push(...faults)
      return Promise.resolve()
    },
    progress: (done, total, unit, note) => progress.push([done, total, unit, note].join(' ')),
    last: async () => null,
    log: () => undefined,
    ...session.verbs,
  }
  const close = async () => {
    await session.close()
    rmSync(root, { recursive: true, force: true })
  }
  return { c, name, fence, abort, writer, folder: join(root, place), lost, progress, found, session, close }
}

const none = () => Promise.reject(new Error('this try has no backups'))
const noBackups: Backups = {
  list: none,
  read: () => {
    throw new Error('this try has no backups')
  },
  hold: none,
  attach: none,
  judged: none,
}

export interface Looked {
  result: Record<string, unknown>
  faults: Fault[]
  told: { event: string; data: Record<string, unknown>; operation: string | undefined }[]
}

/** One reading of a probe, as the runner takes it; what it keeps in the ledger goes nowhere. */
export async function lookOnce(
  probe: Probe<PostgresVerbs>,
  url: string,
  {
    entries = {},
    ...more
  }: Partial<Omit<Look<Record<string, unknown>>, 'entries'>> & { config?: PgTarget; entries?: Partial<Look<unknown>['entries']> } = {},
): Promise<Looked> {
  const signal = AbortSignal.timeout(15_000)
  const session = await postgres.look(targetOf(url), `dbops:${installation}:probe:${probe.name}`, signal)
  const looked: Looked = { result: {}, faults: [], told: [] }
  try {
    const nothing = aLook('core', targetOf(url).config, signal)
    const look: Look<Record<string, unknown>> = {
      ...nothing,
      entries: { ...nothing.entries, ...entries },
      tell: (event, data, operation) => void looked.told.push({ event, data, operation }),
      find: fault => void looked.faults.push(fault),
      ...more,
    }
    looked.result = probe.result.parse(await probe.look({ ...look, ...session.verbs }))
    return looked
  } finally {
    await session.close()
  }
}

/** Every probe of this maintainer, as it finds them by itself, each with the name that its file gives it. */
export const probesIn = (folder = new URL('../src/probes/', import.meta.url)) =>
  Promise.all(
    readdirSync(folder)
      .filter(file => file.endsWith('.ts'))
      .map(async file => {
        const { default: probe } = (await import(new URL(file, folder).href)) as { default: Probe<PostgresVerbs> }
        return [`pg.${basename(file, '.ts')}`, probe] as const
      }),
  )

/** Plan, run, prove. Throws what the handlers throw. */
export async function carryOut(
  task: Task<PostgresVerbs>,
  { c }: Pick<Try, 'c'>,
): Promise<{ facts: Record<string, unknown>; proof: Proof }> {
  const plan = await task.plan?.(c)
  const planned = { ...c, plan }
  const facts = task.result.parse(await task.run(planned))
  return { facts, proof: await task.prove!(planned, facts) }
}

/** `carryOut` in an attempt of its own, closed at the end. */
export async function once(task: Task<PostgresVerbs>, url: string, options: Parameters<typeof attempt>[2] = {}) {
  const tried = await attempt(task, url, options)
  try {
    return await carryOut(task, tried)
  } finally {
    await tried.close()
  }
}

/** The context with every statement of its working session written down. */
export function counting<C extends PostgresVerbs>(c: C): { c: C; queries: string[] } {
  const queries: string[] = []
  const query: PostgresVerbs['pg']['query'] = (sql, values) => {
    queries.push(sql)
    return c.pg.query(sql, values)
  }
  return { c: { ...c, pg: { ...c.pg, query } }, queries }
}

/** What the runner knows of a manifest. */
export const head = (fence: number, more: Partial<ManifestHead> = {}): ManifestHead => ({
  formatVersion: 1,
  id: '00000000-0000-7000-8000-000000000002',
  run: '00000000-0000-7000-8000-000000000001',
  fence,
  task: 'pg.dump',
  environment: 'test',
  engine: 'pg',
  target: 'core',
  kind: 'dump',
  name: 'metadata',
  operation: 'pg.dump:metadata',
  bornAt: new Date().toISOString(),
  startedAt: new Date().toISOString(),
  finishedAt: new Date().toISOString(),
  result: {},
  evidence: {},
  ...more,
})

export interface Ground {
  url: string
  name: string
  /** The same database as another role. */
  as(role: string): string
  /** As the superuser, one string of statements. */
  sql<Row extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>
  /** A further session of the superuser, ended with the ground; in the database `database` of the same server. */
  client(name?: string, database?: string): Promise<Client>
  /** A new role that may log in; `%` stands for it in `grants`. Roles belong to the whole server, so it is dropped with the ground. */
  role(grants?: string): Promise<string>
  /** Another database of the same server, dropped with the ground. */
  owns(database: string): void
  drop(): Promise<void>
}

/** A database of the test's own, with what `setup` makes in it. */
export async function ground(setup = '', database?: { url: string; name: string; drop(): Promise<void> }): Promise<Ground> {
  const { url, name, drop } = database ?? (await freshDatabase())
  const clients: Client[] = []
  const roles: string[] = []
  const databases: string[] = []
  const client = async (called = 'a test', database = name) => {
    const opened = new Client({ connectionString: url.replace(name, database), application_name: called })
    opened.on('error', () => undefined)
    await opened.connect()
    clients.push(opened)
    return opened
  }
  const superuser = await client('the test')
  const sql = async <Row extends object>(text: string, values?: unknown[]) => (await superuser.query<Row>(text, values)).rows
  await sql(setup)
  return {
    url,
    name,
    sql,
    client,
    as(role) {
      const other = new URL(url)
      other.username = role
      other.password = 'secret'
      return other.href
    },
    async role(grants = '') {
      const role = `t_role_${process.pid}_${fences++}`
      await sql(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA core TO ${role}; ${grants.replaceAll('%', role)}`)
      roles.push(role)
      return role
    },
    owns: database => databases.push(database),
    async drop() {
      for (const database of databases) await sql(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`)
      for (const role of roles) await sql(`REASSIGN OWNED BY ${role} TO postgres; DROP OWNED BY ${role}`)
      for (const role of roles) await sql(`DROP ROLE ${role}`)
      await Promise.all(clients.map(one => one.end().catch(() => undefined)))
      await drop()
    },
  }
}
