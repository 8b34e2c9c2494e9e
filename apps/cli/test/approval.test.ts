// Four eyes on a real line: one person asks for a full vacuum, another looks at its plan and lets it begin, under logins of their own.
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { savePerson } from '@dbops/ledger/people'
import { bear } from '@dbops/ledger/runs'
import { anEvent } from '@dbops/testing/an-event'
import { birth } from '@dbops/testing/birth'
import { type FreshDatabase, freshDatabase } from '@dbops/testing/database'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { onTheLine, type Said } from './on-the-line.ts'

let line: Line
let core: FreshDatabase
let owner: Client
let dbops: (...words: string[]) => Promise<Said>
/** Roles are of the whole server: names of this file's own. */
const tag = randomBytes(4).toString('hex')
const people = { ada: `ada_${tag}`, ben: `ben_${tag}` }

beforeAll(async () => {
  core = await freshDatabase()
  owner = new Client({ connectionString: core.url })
  await owner.connect()
  await owner.query('CREATE SCHEMA core')
  // The forbidden hours are half a day away from now.
  const at = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16)
  line = await startLine(`
environment: test
targets: { core: { engine: pg, url: "${core.url}" } }
windows: { operating-hours: { from: "${at(12)}", to: "${at(13)}" } }
`)
  const logins: Record<string, string> = {}
  for (const [name, role] of Object.entries(people)) {
    await savePerson(line.ledger, role, 'secret')
    const url = new URL(line.ledgerUrl)
    Object.assign(url, { username: role, password: 'secret' })
    logins[`DBOPS_LEDGER_URL_${name.toUpperCase()}`] = url.href
  }
  dbops = onTheLine({ env: { ...line.env, ...logins } })
  await Promise.all(['scheduler', 'pg-maintainer'].map(app => line.start(`apps/${app}/src/main.ts`)))
})
afterAll(async () => {
  await line?.ledger.query(`drop role ${Object.values(people).join(', ')}`).catch(() => undefined)
  await line?.close()
  await owner?.end()
  await core?.drop()
})
beforeEach(() => owner.query(`DROP TABLE IF EXISTS core.outbox CASCADE; ${table}`))

const table = `
  CREATE TABLE core.outbox (id int PRIMARY KEY, note text) WITH (autovacuum_enabled = off);
  INSERT INTO core.outbox SELECT n, repeat('x', 200) FROM generate_series(1, 5000) n;
  DELETE FROM core.outbox WHERE id > 500`

test('asked for by one and approved by another it is done, and all of that can be read', async () => {
  const { code, stdout, id } = await ask()
  const waiting = await dbops('runs', 'show', id)
  const mine = await dbops('approve', id, '--yes', '--as', 'ada')
  const unanswered = await dbops('approve', id, '--as', 'ben')
  const approved = await dbops('approve', id, '--yes', '--as', 'ben', '--reason', 'change 4711')
  const state = await end(id)
  const [shown] = (await dbops('runs', 'show', id, '--json')).records as [{ approval: object; evidence: object; actor: string }]
  const { rows: audit } = await line.ledger.query(`select actor, action from audit where subject like '%' || $1`, [id])
  expect([code, mine.code, mine.stderr, unanswered.code, unanswered.stdout, approved.code, approved.stdout, state]).toEqual([
    4,
    4,
    `dbops: ${people.ada} asked for run ${id}, and another person must approve it\nhint: approve as somebody else: --as NAME\n`,
    2,
    expect.stringMatching(
      /asked for by ada_.*ACCESS EXCLUSIVE.*core\.outbox.*at most 64 MiB.*plan [0-9a-f]{16}; once approved it begins as soon as windows and policies let it; [^\n]*\n$/s,
    ) as string,
    0,
    expect.stringContaining(`is approved by ${people.ben} and queued`) as string,
    'succeeded',
  ])
  expect([stdout, waiting.stdout]).toEqual([
    expect.stringContaining(`./dbops approve ${id} --as NAME`),
    expect.stringContaining(`./dbops approve ${id} --as NAME`),
  ])
  expect([shown, audit]).toMatchObject([
    {
      actor: people.ada,
      approval: { by: people.ben, reason: 'change 4711' },
      evidence: { verdicts: [{ ok: true, outcome: 'rewritten' }] },
    },
    [{ actor: people.ben, action: 'approve' }],
  ])
})

test('an approver who names the configuration is told when it would begin', async () => {
  const { id } = await ask()
  const [now, later] = await Promise.all([
    dbops('approve', id, '--as', 'ben', '--config', line.configFile),
    dbops('approve', id, '--as', 'ben', '--config', configOf('00:00', '23:59')),
  ])
  await dbops('cancel', id, '--yes')
  expect([now.stdout, later.stdout]).toEqual([
    expect.stringMatching(/once approved it begins at once; .* from now it would be too late for this window, until /) as string,
    expect.stringMatching(
      /once approved it begins \d{4}-\d\d-\d\d 23:59 UTC, in .*: VACUUM FULL is forbidden in "operating-hours", until /,
    ) as string,
  ])
})

test('a table that was made anew between the plan and the work is another one: refused, and nothing is done', async () => {
  const { id } = await ask()
  await owner.query(`DROP TABLE core.outbox; ${table}`)
  const before = await file()
  await dbops('approve', id, '--yes', '--as', 'ben')
  const state = await end(id)
  const [shown] = (await dbops('runs', 'show', id, '--json')).records as [{ error: { code: string; message: string } }]
  expect([state, shown.error.code, shown.error.message, await file()]).toEqual([
    'refused',
    'plan_changed',
    expect.stringContaining(`is not the one that ${people.ben} approved`) as string,
    before,
  ])
})

test('a table that must not be rewritten is refused before anybody is asked to approve', async () => {
  const { records } = await dbops('run', 'pg.vacuum-full', '--tables', 'core.outbux', '--yes', '--as', 'ada', '--json')
  const id = String(records[0]!['id'])
  const state = await end(id)
  expect([state, (await line.events(id)).includes('approval_wanted')]).toEqual(['refused', false])
})

test('a person cancels, rejects and pauses through the scheduler, under that person’s name', async () => {
  const first = await ask()
  const second = await ask()
  const said = [
    await dbops('cancel', first.id, '--yes', '--as', 'ada'),
    await dbops('reject', second.id, '--reason', 'not now', '--as', 'ben'),
    await dbops('pause', '--all', '--until', '1h', '--as', 'ben'),
    await dbops('resume', '--all', '--as', 'ada'),
  ]
  const { rows } = await line.ledger.query('select actor, action from audit order by n desc limit 4')
  expect([said.map(({ code }) => code), rows]).toEqual([
    [0, 0, 0, 0],
    [
      { actor: people.ada, action: 'resume' },
      { actor: people.ben, action: 'pause' },
      { actor: people.ben, action: 'reject' },
      { actor: people.ada, action: 'cancel' },
    ],
  ])
})

test('a person lets dead letters go out again and releases a run through the scheduler, under that person’s name', async () => {
  const event = anEvent()
  const [letter, running] = [uuidv7(), birth({ engine: 'neo4j', task: 'neo4j.dump', target: null, locks: [] })]
  await line.ledger.query(
    `insert into dead_letters (id, reader, entry, reason, event, ce) values ($1, 'cellar', '1-0', 'no such table', $2, $3)`,
    [letter, event.id, JSON.stringify(event)],
  )
  await bear(line.ledger, running)
  const inHand = `update runs set state = 'running', dispatched_at = now(), worker = 'gone:1', fence = nextval('fences'), attempt = 1, lease_until = now() + interval '1 h' where id = $1`
  await line.ledger.query(inHand, [running.id])
  const said = [
    await dbops('dlq', '--as', 'ben'),
    await dbops('dlq', 'replay', letter, '--as', 'ben'),
    await dbops('dlq', 'replay', letter, '--as', 'ben'),
    await dbops('locks', 'release', running.id, '--reason', 'the host is gone', '--as', 'ada'),
    await dbops('locks', 'release', running.id, '--reason', 'the host is gone', '--force', '--as', 'ada'),
    await dbops('runs', 'show', running.id, '--as', 'ada'),
  ]
  const { rows } = await line.ledger.query(`select actor, action, detail ->> 'reason' as reason from audit order by n desc limit 2`)
  expect([said.map(({ code }) => code), said[3]!.stderr, said[5]!.stdout, rows]).toEqual([
    [0, 0, 4, 4, 0, 0],
    expect.stringMatching(/is in the hands of gone:1, whose lease is fresh\nhint: dbops cancel /),
    expect.stringContaining(`taken from gone:1 by ${people.ada}: the host is gone; the outcome is unknown`),
    [
      { actor: people.ada, action: 'release', reason: 'the host is gone' },
      { actor: people.ben, action: 'replay', reason: null },
    ],
  ])
})

test('a person whom nobody knows is told how to be known', async () => {
  const { code, stderr } = await dbops('runs', '--as', 'carl')
  expect([code, stderr]).toEqual([
    2,
    `dbops: no login of "carl" is known here\nhint: set DBOPS_LEDGER_URL_CARL to the ledger's URL with that person's login\n`,
  ])
})

test('reject wants a reason', async () => {
  const { code, stderr } = await dbops('reject', '00000000', '--as', 'ben')
  expect([code, stderr]).toEqual([2, 'dbops: the asker wants to know why: --reason is missing\nhint: --reason "not before the release"\n'])
})

/** The line's configuration with other hours. */
function configOf(from: string, to: string): string {
  const file = `${line.folder}/${from.replace(':', '')}.yaml`
  writeFileSync(file, readFileSync(line.configFile, 'utf8').replace(/from: "[^"]*", to: "[^"]*"/, `from: "${from}", to: "${to}"`))
  return file
}

/** Ada asks, and the plan is there. */
async function ask(): Promise<Said & { id: string }> {
  const said = await dbops('run', 'pg.vacuum-full', '--tables', 'core.outbox', '--yes', '--as', 'ada')
  const id = /run ([0-9a-f]{8}):/.exec(said.stdout)![1]!
  await until('its plan is there', async () => {
    const { rows } = await line.ledger.query(`select from runs where right(id::text, 8) = $1 and approval is not null`, [id])
    return rows.length > 0
  })
  return { ...said, id }
}
const end = (id: string): Promise<string> =>
  until(
    'it has ended',
    async () => {
      const { rows } = await line.ledger.query<{ state: string }>(
        `select state from runs where right(id::text, 8) = right($1, 8) and finished_at is not null`,
        [id],
      )
      return rows[0]?.state
    },
    { within: 20_000 },
  )
const file = async () => (await owner.query(`SELECT pg_relation_filenode('core.outbox') AS file`)).rows
