// What it costs to know what 5,000 statements cost: our differences beside a full copy every five minutes, and beside PgHero's way, which resets the counters and keeps what moved with its text.
import { pgTarget } from '@dbops/contract/config-file'
import { openLedger } from '@dbops/ledger/ledger'
import { lastReading, saveReading } from '@dbops/ledger/probes'
import { createDatabase, startPostgres } from '@dbops/servers/postgres'
import { Client } from 'pg'
import { postgres } from '../../apps/pg-maintainer/src/postgres.ts'
import statements from '../../apps/pg-maintainer/src/probes/statements.ts'
import { machine, median, print, quick, type Row, ratios, say } from '../report.ts'

const kinds = 5_000
const rounds = quick ? 3 : 12
/** How many of them run between two readings. */
const shares = [0.1, 1]

const begunAt = performance.now()
await using started = new AsyncDisposableStack()
say('starting PostgreSQL, once for the statements and once for what is kept of them')
const server = await startPostgres({ settings: { 'pg_stat_statements.max': '10000', shared_preload_libraries: 'pg_stat_statements' } })
started.defer(() => server.stop())
const store = await startPostgres()
started.defer(() => store.stop())
const database = await createDatabase(server.url, 'platform')
const platform = await connected(database)
const as = (role: string) => Object.assign(new URL(database), { username: role, password: 'secret' }).href

await platform.query('CREATE EXTENSION pg_stat_statements')
for (const role of ['ours', 'peer']) await platform.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; GRANT pg_read_all_stats TO ${role}`)
// Statements of some 400 characters, each with a place of its own: 100 tables, 50 lists of columns.
const columns = Array.from({ length: 50 }, (_, i) => `column_number_${i}`)
for (let table = 0; table < kinds / 50; table++)
  await platform.query(`CREATE TABLE table_${table} (${columns.map(name => `${name} int`).join(', ')})`)
for (let table = 0; table < kinds / 50; table++)
  await platform.query(
    `INSERT INTO table_${table} SELECT ${columns.map(() => '(random() * 5)::int').join(', ')} FROM generate_series(1, 40)`,
  )
const textOf = (n: number) => {
  const first = n % 50
  const list = [...columns.slice(first), ...columns.slice(0, first)].slice(0, 20)
  return `SELECT ${list.join(', ')} FROM table_${Math.floor(n / 50)} WHERE ${columns[first]} = $1`
}

/** From a fixed seed, so that every run moves the same ones. */
let seed = 42
const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648
async function move(share: number) {
  for (let n = 0; n < kinds; n++)
    // Not all alike, or their numbers would shrink to nothing: one to three calls that find some rows or none.
    if (share === 1 || random() < share)
      for (let calls = 1 + Math.floor(random() * 3); calls > 0; calls--) await platform.query(textOf(n), [calls])
}

const ledgerUrl = await createDatabase(store.url, 'dbops')
const ledger = await openLedger({ url: ledgerUrl, name: 'bench' })
started.defer(() => ledger.close())
const kept = await connected(await createDatabase(store.url, 'peer'))
// PgHero's own table.
for (const table of ['full_copy', 'after_reset'])
  await kept.query(
    `CREATE TABLE ${table} (id bigserial PRIMARY KEY, database text, "user" text, query text, query_hash bigint, total_time float8, calls bigint, captured_at timestamp);
     CREATE INDEX ON ${table} (database, captured_at)`,
  )

const target = { name: 'core', config: pgTarget.parse({ engine: 'pg', url: as('ours') }), environment: 'bench' }
async function ours() {
  const session = await postgres.look(target, 'dbops:bench:probe:pg.statements', AbortSignal.timeout(60_000))
  const keeping: ((db: typeof ledger) => Promise<void>)[] = []
  const result = await statements.look({
    target: 'core',
    config: target.config,
    entries: { pools: {}, views: {}, purges: {}, dumps: {}, ingest: {}, schedules: {} },
    environment: 'bench',
    installation: 'bench',
    signal: AbortSignal.timeout(60_000),
    last: await lastReading(ledger, 'core', 'pg.statements'),
    ledger,
    tell: () => undefined,
    find: () => undefined,
    keep: work => void keeping.push(work),
    ...session.verbs,
  })
  await session.close()
  await ledger.transaction(async db => {
    await saveReading(db, { target: 'core', probe: 'pg.statements', state: 'ok', result, error: null, told: false })
    for (const work of keeping) await work(db as typeof ledger)
  })
  return result as { window: { moved: number; missing: string[] } | null }
}

// The statement with which PgHero reads them, and the insert with which it keeps them.
const readAll = `
  SELECT pg_database.datname AS database, pg_roles.rolname AS "user", left(query, 10000) AS query, queryid::text AS query_hash, total_exec_time AS total_time, calls::text AS calls
    FROM pg_stat_statements
    JOIN pg_database ON pg_database.oid = pg_stat_statements.dbid
    JOIN pg_roles ON pg_roles.oid = pg_stat_statements.userid
   WHERE calls > 0 AND pg_database.datname = current_database()
   ORDER BY total_exec_time DESC`
interface Copied {
  database: string
  user: string
  query: string
  query_hash: string
  total_time: number
  calls: string
}
const before = new Map<string, string>()
async function peer() {
  const client = await connected(as('peer'), false)
  const { rows } = await client.query<Copied>(readAll)
  await client.end()
  await keep('full_copy', rows)
  // What it would have found after its own reset.
  await keep(
    'after_reset',
    rows.filter(({ user, query_hash, calls }) => before.get(`${user} ${query_hash}`) !== calls),
  )
  for (const { user, query_hash, calls } of rows) before.set(`${user} ${query_hash}`, calls)
}
const keep = (table: string, rows: Copied[]) =>
  kept.query(
    `INSERT INTO ${table} (database, "user", query, query_hash, total_time, calls, captured_at)
     SELECT *, now() FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::float8[], $6::bigint[])`,
    (['database', 'user', 'query', 'query_hash', 'total_time', 'calls'] as const).map(name => rows.map(row => row[name])),
  )

/** Milliseconds that the server has worked for a role, whatever it asked. */
async function serverMs(role: string): Promise<number> {
  const { rows } = await platform.query<{ ms: number }>(
    `SELECT coalesce(sum(total_exec_time), 0)::float8 AS ms FROM pg_stat_statements(false) WHERE userid = $1::regrole`,
    [role],
  )
  return rows[0]!.ms
}
/** In bytes, with indexes and what is stored apart; what is dead has been vacuumed. */
async function bytes(url: string, tables: string[]): Promise<number> {
  const client = await connected(url, false)
  for (const table of tables) await client.query(`VACUUM ${table}`)
  const { rows } = await client.query<{ bytes: string }>(
    `SELECT sum(pg_total_relation_size(name::regclass)) AS bytes FROM unnest($1::text[]) AS name`,
    [tables],
  )
  await client.end()
  return Number(rows[0]!.bytes)
}
const tablesOfOurs = ['statements', 'statement_texts', 'statement_windows', 'statement_readings'].map(name => `dbops.${name}`)
const peerUrl = new URL(store.url)
peerUrl.pathname = '/peer'
const sizes = async () => ({
  ours: await bytes(ledgerUrl, tablesOfOurs),
  full: await bytes(peerUrl.href, ['full_copy']),
  afterReset: await bytes(peerUrl.href, ['after_reset']),
})

say('the first reading of each: texts and baselines')
await move(1)
await ours()
await peer()

const rows: Row[] = []
for (const share of shares) {
  // So that the size of the updated pages has settled.
  for (let i = 0; i < 2; i++) {
    await move(share)
    await ours()
    await peer()
    await sizes()
  }
  const from = await sizes()
  const taken: { ms: number; peerMs: number; wall: number; peerWall: number }[] = []
  for (let i = 0; i < rounds; i++) {
    await move(share)
    const work = { ours: async () => void (await ours()), peer }
    const measured = { ours: [0, 0], peer: [0, 0] }
    for (const who of i % 2 ? (['peer', 'ours'] as const) : (['ours', 'peer'] as const)) {
      const [ms, at] = [await serverMs(who), performance.now()]
      await work[who]()
      const wall = performance.now() - at
      measured[who] = [(await serverMs(who)) - ms, wall]
    }
    taken.push({ ms: measured.ours[0]!, wall: measured.ours[1]!, peerMs: measured.peer[0]!, peerWall: measured.peer[1]! })
    say(
      `${share * 100} % move, ${i + 1} of ${rounds}: ours ${measured.ours.map(n => n.toFixed(1)).join('/')} ms, copy ${measured.peer.map(n => n.toFixed(1)).join('/')} ms`,
    )
  }
  const to = await sizes()
  const perReading = (name: keyof typeof to) => [(to[name] - from[name]) / rounds / 1_024]
  const what = (text: string) => `${share * 100} % of ${kinds.toLocaleString('en')} move: ${text}`
  const time: Row = {
    what: what('work of the server'),
    unit: 'ms',
    ours: taken.map(one => one.ms),
    peer: taken.map(one => one.peerMs),
    beside: 'full copy',
    goal: '≤ 20 ms',
  }
  const wall: Row = {
    what: what('a whole reading'),
    unit: 'ms',
    ours: taken.map(one => one.wall),
    peer: taken.map(one => one.peerWall),
    beside: 'full copy',
  }
  const full: Row = {
    what: what('kept for each reading'),
    unit: 'KiB',
    ours: perReading('ours'),
    peer: perReading('full'),
    beside: 'full copy',
    goal: '≤ 1/10',
  }
  const reset: Row = {
    what: what('kept for each reading'),
    unit: 'KiB',
    ours: perReading('ours'),
    peer: perReading('afterReset'),
    beside: "PgHero's way, reset",
  }
  rows.push({ ...time, met: median(time.ours) <= 20 }, wall, { ...full, met: median(ratios(full)) <= 0.1 }, reset)
}
const { rows: facts } = await ledger.query<{ windows: number; incomplete: number; n: number }>(
  `select count(*)::int as windows, count(*) filter (where missing <> '{}')::int as incomplete, (select count(*)::int from statements) as n from statement_windows`,
)
print({
  area: 'statements',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: {
    node: process.versions.node,
    postgres: (await platform.query<{ server_version: string }>('SHOW server_version')).rows[0]!.server_version,
  },
  rows,
  notes: [
    `${facts[0]!.n} statements in the ledger, ${facts[0]!.windows} windows, ${facts[0]!.incomplete} of them incomplete; texts of some 400 characters`,
    'work of the server: what pg_stat_statements itself says of all statements of the role, preparation of the session included; a whole reading: from the connect to the commit in the ledger',
    "kept: growth of tables, indexes and TOAST after VACUUM, over the number of readings. PgHero's way: only what moved, but with its text each time, and everybody's counters reset; here reckoned from the full copy",
  ],
})

async function connected(url: string, stays = true): Promise<Client> {
  const client = new Client(url)
  await client.connect()
  if (stays) started.defer(() => client.end())
  return client
}
