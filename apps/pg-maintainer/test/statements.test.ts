// pg.statements on a real server and a real ledger: what rises is stored once, and every way in which counters are lost is seen.
import { openLedger } from '@dbops/ledger/ledger'
import { topStatements, windowFacts } from '@dbops/ledger/statements'
import { startPostgres } from '@dbops/servers/postgres'
import { freshDatabase } from '@dbops/testing/database'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import statements from '../src/probes/statements.ts'
import { type Ground, ground, type Looked, lookOnce } from './harness.ts'

type Ledger = Awaited<ReturnType<typeof openLedger>>
// A table for each: an alias alone makes no other statement.
const words = ['between_two', 'moved_once', 'across_a_reset', 'reset_alone', 'read_twice', 'long_ago']

let ledger: Ledger
let place: Ground
let tidy: (() => Promise<unknown>)[] = []
/** Each test reads a target of its own name. */
let target = ''
let n = 0
let last: { at: Date; result: Record<string, unknown> } | null = null

beforeAll(async () => {
  const database = await freshDatabase()
  ledger = await openLedger({ url: database.url, name: 'test' })
  place = await ground(
    `CREATE EXTENSION pg_stat_statements; CREATE SCHEMA core; ${words.map(word => `CREATE TABLE core.${word} (id int)`).join('; ')}`,
  )
  tidy = [() => place.drop(), () => ledger.close(), () => database.drop()]
})
beforeEach(() => {
  target = `t${++n}`
  last = null
})
afterAll(async () => {
  for (const step of tidy) await step()
})

test('the first reading is where counting begins: it has no window', async () => {
  const { result } = await read()
  expect([result['reason'], result['window'], (result['statements'] as number) > 0, await top()]).toEqual([null, null, true, []])
})

test('what a statement did between two readings is stored, with its rows and its text', async () => {
  await read()
  for (let i = 0; i < 3; i++) await place.sql(`SELECT count(*) FROM core.between_two WHERE id = ${i}`)
  await read()
  expect(find(await top(), 'between_two')).toMatchObject({
    calls: 3,
    rows: 3,
    role: 'postgres',
    text: 'SELECT count(*) FROM core.between_two WHERE id = $1',
  })
})

test('a statement that did not move costs the ledger nothing', async () => {
  await read()
  await place.sql(`SELECT FROM core.moved_once`)
  await read()
  const { result } = await read()
  const { rows } = await ledger.query<{ n: number }>(
    `select cardinality(statements) as n from statement_windows where target = $1 order by until`,
    [target],
  )
  // Of the second window: what the probe and the ledger's test themselves asked.
  expect([rows.length, rows[1]!.n, rows[1]!.n < (result['statements'] as number)]).toEqual([
    2,
    (result['window'] as { moved: number }).moved,
    true,
  ])
  expect((await top()).filter(({ text }) => text.includes('moved_once')).map(({ calls }) => calls)).toEqual([1])
})

test('statements that a function calls stand apart, so that no time is counted twice', async () => {
  await place.sql(
    `CREATE OR REPLACE FUNCTION core.slowly() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1) AS nested_sleep; END $$`,
  )
  const session = await place.client()
  await session.query(`SET pg_stat_statements.track = 'all'`)
  await read()
  await session.query(`SELECT core.slowly()`)
  await read()
  const names = (rows: { text: string }[]) => rows.filter(({ text }) => /slowly|nested_sleep/.test(text)).map(({ text }) => text)
  expect([names(await top()), names(await top({ nested: true }))]).toEqual([
    ['SELECT core.slowly()'],
    ['SELECT pg_sleep($1) AS nested_sleep'],
  ])
})

test('a reset in the window is seen, what ran since is counted, and what ran before it is said to be missing', async () => {
  await place.sql(`SELECT FROM core.across_a_reset`)
  await place.sql(`SELECT FROM core.across_a_reset`)
  await read()
  await place.sql(`SELECT pg_stat_statements_reset()`)
  await place.sql(`SELECT FROM core.across_a_reset`)
  await read()
  expect([find(await top(), 'across_a_reset')?.calls, (await facts())?.missing]).toEqual([
    1,
    [{ until: expect.any(String) as string, why: [expect.stringMatching(/^all counters began anew at 2/)] }],
  ])
})

test('one statement that was reset by itself is counted from there, and named as a number', async () => {
  for (let i = 0; i < 5; i++) await place.sql(`SELECT FROM core.reset_alone`)
  await read()
  await place.sql(
    `SELECT pg_stat_statements_reset(userid, dbid, queryid) FROM pg_stat_statements(true) WHERE query LIKE 'SELECT FROM core.reset_alone' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  )
  await place.sql(`SELECT FROM core.reset_alone`)
  await read()
  expect([find(await top(), 'reset_alone')?.calls, (await facts())?.missing[0]?.why]).toEqual([1, ['1 statement was reset one by one']])
})

test('a reading that another process was faster with is dropped whole', async () => {
  await read()
  await place.sql(`SELECT FROM core.read_twice`)
  const late = await read({ keep: 'later' })
  await read()
  await late.keep()
  expect([find(await top(), 'read_twice')?.calls, (await facts())?.windows]).toEqual([1, 1])
})

test('a password in a utility statement is nowhere in the ledger', async () => {
  await read()
  const role = await place.role(`ALTER ROLE % PASSWORD 'correct horse'`)
  await read()
  const { rows } = await ledger.query<{ text: string }>(`select text from statement_texts where target = $1 and text like '%ROLE%'`, [
    target,
  ])
  expect([rows.length > 0, JSON.stringify(rows).includes('correct horse'), JSON.stringify(rows).includes(role)]).toEqual([
    true,
    false,
    true,
  ])
})

test('windows that are old go, and the statements that only they named', async () => {
  await read()
  await place.sql(`SELECT FROM core.long_ago`)
  await read()
  await place.sql(
    `SELECT pg_stat_statements_reset(userid, dbid, queryid) FROM pg_stat_statements(true) WHERE query LIKE 'SELECT FROM core.long_ago'`,
  )
  await read()
  for (const [table, column] of columnsOfTime.slice(0, 2))
    await ledger.query(`update ${table} set ${column} = ${column} - interval '15 days' where target = '${target}'`)
  await ledger.query(`update statement_readings set at = at - interval '1 hour' where target = '${target}'`)
  await read()
  const { rows } = await ledger.query<{ windows: number; texts: number; gone: number }>(
    `select (select count(*)::int from statement_windows where target = $1) as windows,
            (select count(*)::int from statement_texts where target = $1 and text like '%long_ago') as texts,
            (select count(*)::int from statements where target = $1 and calls = 0) as gone`,
    [target],
  )
  expect(rows[0]).toEqual({ windows: 1, texts: 0, gone: 0 })
})

test('of a target that nobody reads any more, everything goes', async () => {
  const left = target
  await read()
  await place.sql('SELECT FROM core.moved_once')
  await read()
  for (const [table, column] of columnsOfTime)
    await ledger.query(`update ${table} set ${column} = ${column} - interval '15 days' where target = '${left}'`)
  target = 'another'
  last = null
  await read()
  const { rows } = await ledger.query<{ n: number }>(
    `select (select count(*) from statement_windows where target = $1) + (select count(*) from statements where target = $1)
          + (select count(*) from statement_texts where target = $1) + (select count(*) from statement_readings where target = $1) as n`,
    [left],
  )
  expect(rows).toEqual([{ n: 0 }])
})

test('a role that may not see others has no figures, and says what would mend it', async () => {
  const role = await place.role()
  const { result, faults } = await read({ url: place.as(role) })
  expect([result['reason'], result['statements'], faults[0]?.sql]).toEqual([
    `${role} sees only its own statements`,
    null,
    `GRANT pg_read_all_stats TO ${role}`,
  ])
})

test('the extension may be in any schema that our role may use', async () => {
  const elsewhere = await ground(`CREATE SCHEMA core; CREATE SCHEMA "Ops Stats"; CREATE EXTENSION pg_stat_statements SCHEMA "Ops Stats"`)
  try {
    const role = await elsewhere.role('GRANT pg_read_all_stats TO %')
    const refused = await read({ url: elsewhere.as(role) })
    await elsewhere.sql(refused.faults[0]!.sql!)
    const { result, faults } = await read({ url: elsewhere.as(role) })
    expect([refused.faults[0]!.sql, faults, result['reason'], result['role']]).toEqual([
      `GRANT USAGE ON SCHEMA "Ops Stats" TO ${role}`,
      [],
      null,
      role,
    ])
  } finally {
    await elsewhere.drop()
  }
})

test('a database without the extension has no figures, and says what would mend it', async () => {
  const bare = await ground()
  try {
    const { result, faults } = await read({ url: bare.url })
    expect([result['window'], faults[0]?.key, faults[0]?.sql]).toEqual([null, 'extension missing', 'CREATE EXTENSION pg_stat_statements'])
  } finally {
    await bare.drop()
  }
})

test('a server that throws entries out is found out', async () => {
  const { faults } = await onAnother({ 'pg_stat_statements.max': '100' }, async ask => {
    for (let i = 1; i <= 150; i++) await ask(`SELECT ${Array.from({ length: i }, () => '1').join(', ')}`)
  })
  expect([faults.map(({ key }) => key), (await facts())?.missing[0]?.why[0]]).toEqual([
    ['evictions'],
    expect.stringMatching(/^the server made room (once|\d+ times): \d+ statements? (was|were) thrown out/),
  ])
})

test('a server that crashed in the window has lost its counters, and it shows', async () => {
  await onAnother({}, async (ask, again) => {
    const [{ pid }] = (await ask(`SELECT pg_backend_pid() AS pid`)) as [{ pid: number }]
    process.kill(pid, 'SIGKILL')
    await again()
    await ask(`SELECT FROM pg_class`)
  })
  expect([find(await top(), 'FROM pg_class')?.calls, (await facts())?.missing[0]?.why[0]]).toEqual([
    1,
    expect.stringMatching(/: a reset, or a crash of the server$/),
  ])
})

test('a server that does not load the library has no figures, and says what would mend it', async () => {
  const { faults } = await onAnother({ shared_preload_libraries: '' }, () => Promise.resolve())
  expect(faults).toMatchObject([{ key: 'not loaded', sql: `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'` }])
})

/** Two readings of a server of its own, with `work` in between; `again` waits until it takes a new session. Answers the second reading. */
async function onAnother(
  settings: Record<string, string>,
  work: (ask: (sql: string) => Promise<object[]>, again: () => Promise<void>) => Promise<void>,
): Promise<Looked> {
  const server = await startPostgres({ settings, say: () => undefined })
  let client: Client
  const connect = async () => {
    client = new Client(server.url)
    client.on('error', () => undefined)
    await client.connect()
  }
  try {
    await connect()
    await client!.query('CREATE EXTENSION pg_stat_statements')
    await read({ url: server.url })
    await work(
      async sql => (await client.query<object>(sql)).rows,
      () =>
        until('the server takes sessions again', () =>
          connect().then(
            () => true,
            () => false,
          ),
        ).then(() => undefined),
    )
    return await read({ url: server.url })
  } finally {
    await client!.end().catch(() => undefined)
    await server.stop()
  }
}

const columnsOfTime = [
  ['statement_windows', 'until'],
  ['statements', 'moved_at'],
  ['statement_readings', 'at'],
] as const

interface Kept extends Looked {
  /** Where it was asked to keep it later. */
  keep(): Promise<void>
}

/** One reading as the runner takes it, with its result remembered and what it keeps written down. */
async function read({ url = place.url, keep = 'now' }: { url?: string; keep?: 'now' | 'later' } = {}): Promise<Kept> {
  const keeping: ((db: Ledger) => Promise<void>)[] = []
  const looked = await lookOnce(statements, url, { target, ledger, last, keep: work => void keeping.push(work) })
  const write = async () => {
    for (const work of keeping) await ledger.transaction(db => work(db as Ledger))
  }
  if (keep === 'now') await write()
  last = { at: new Date(), result: looked.result }
  return { ...looked, keep: write }
}

const top = ({ nested = false } = {}) =>
  topStatements(ledger, { after: new Date(0), target, by: 'total', limit: 1_000, nested, without: [] })
const facts = async () => (await windowFacts(ledger, { after: new Date(0), target, without: [] }))[0]
const find = <Row extends { text: string }>(rows: Row[], word: string) => rows.find(({ text }) => text.includes(word))
