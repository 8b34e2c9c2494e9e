// The commands on a real line: scheduler, pg-maintainer and relay at work on a real database.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { saveFindings } from '@dbops/ledger/findings'
import { type FreshDatabase, freshDatabase } from '@dbops/testing/database'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { main, onTerminal, start } from './a-command.ts'
import { keysOf, onTheLine, type Said } from './on-the-line.ts'

const guest = `guest_${randomBytes(4).toString('hex')}`
let line: Line
let core: FreshDatabase
let owner: Client
let dbops: (...words: string[]) => Promise<Said>

beforeAll(async () => {
  core = await freshDatabase()
  owner = new Client({ connectionString: core.url })
  await owner.connect()
  await owner.query(`
    CREATE SCHEMA core; CREATE TABLE core.users (id int PRIMARY KEY, name text);
    INSERT INTO core.users SELECT n, 'user ' || n FROM generate_series(1, 500) AS n; DELETE FROM core.users WHERE id % 2 = 0;
    CREATE ROLE ${guest} LOGIN PASSWORD 'guest'; GRANT USAGE ON SCHEMA core TO ${guest}; GRANT SELECT ON core.users TO ${guest}`)
  const asGuest = new URL(core.url)
  Object.assign(asGuest, { username: guest, password: 'guest' })
  line = await startLine(`
environment: test
targets:
  core: { engine: pg, url: "${core.url}" }
  guest: { engine: pg, url: "${asGuest.href}" }
stores: { main: { url: "file://$FOLDER/store", free: 1MiB } }
dumps: { users: { target: core, data: [core.users], stores: [main] } }
schedules:
  nightly: { task: pg.vacuum, target: core, cron: "30 2 * * *", params: { tables: [core.users] } }
  yearly: { task: pg.dump, cron: "0 5 1 1 *", params: { dump: users } }
alerts: { channels: { desk: { type: console } }, routes: [{ to: [desk] }] }
`)
  mkdirSync(`${line.folder}/store`)
  dbops = onTheLine(line)
  for (const app of ['scheduler', 'pg-maintainer', 'alert-relay']) await line.start(`apps/${app}/src/main.ts`)
})
afterAll(async () => {
  await line?.close()
  await owner?.query(`DROP OWNED BY ${guest}; DROP ROLE ${guest}`)
  await owner?.end()
  await core?.drop()
})

const runKeys =
  'id task target state mode cause actor operation schedule slot slotTo slots queuedAt startedAt finishedAt attempt waitingFor result error params'.split(
    ' ',
  )
const vacuum = ['run', 'pg.vacuum', '--target', 'core', '--tables', 'core.users']

test('run --wait ends with 0 and the facts of the run', async () => {
  const said = await dbops(...vacuum, '--wait', '--json')
  const [{ state, target, cause }] = said.records as [Record<string, unknown>]
  expect([said.code, keysOf(said), { state, target, cause }]).toEqual([
    0,
    runKeys,
    { state: 'succeeded', target: 'core', cause: { kind: 'command' } },
  ])
})

test('run --wait for people shows the environment, the end and the facts', async () => {
  const { stdout } = await dbops(...vacuum, '--wait')
  expect(stdout).toMatch(/^environment: test\nrun [0-9a-f]{8}: pg\.vacuum:[0-9a-f]{6} on core succeeded in [^\n]+\n[^]*core\.users/)
})

test('run --dry-run shows the plan and changes nothing', async () => {
  const said = await dbops(...vacuum, '--no-analyze', '--dry-run', '--json')
  const [{ mode, plan }] = said.records as [{ mode: string; plan: { tables: { table: string }[]; analyze: string[] } }]
  expect([said.code, keysOf(said), mode, plan.tables.map(({ table }) => table), plan.analyze]).toEqual([
    0,
    [...runKeys, 'plan'],
    'plan',
    ['core.users'],
    [],
  ])
})

test('run ends with 1 when the run failed, and says why', async () => {
  const said = await dbops('run', 'pg.vacuum', '--target', 'guest', '--tables', 'core.users', '--wait')
  expect([said.code, said.stderr]).toEqual([
    1,
    expect.stringMatching(/^dbops: the server skipped core\.users .*\nhint: only the owner may: GRANT .*\n$/),
  ])
})

test('run ends with 4 when the run was refused', async () => {
  const said = await dbops('run', 'pg.vacuum', '--target', 'core', '--tables', 'core.nothing', '--wait')
  expect([said.code, said.stderr]).toEqual([4, expect.stringMatching(/^dbops: core\.nothing .*\nhint: .*\n$/)])
})

test('run with the same key is run once', async () => {
  const [first, second] = [await dbops(...vacuum, '--key', 'once', '--json'), await dbops(...vacuum, '--key', 'once', '--json')]
  expect(second.records[0]?.['id']).toBe(first.records[0]?.['id'])
})

test('run says which targets there are, where there are several', async () => {
  const { code, stderr } = await dbops('run', 'pg.vacuum', '--tables', 'core.users')
  expect([code, stderr]).toEqual([2, 'dbops: pg.vacuum needs a target\nhint: name one of core, guest\n'])
})

test('run names the entry that was meant', async () => {
  const { code, stderr } = await dbops('run', 'pg.dump', '--dump', 'user')
  expect([code, stderr]).toEqual([2, 'dbops: pg.dump: dump: "user" is not in dumps\nhint: did you mean "users"?\n'])
})

test('runs lists what was run, the newest first, in the promised keys', async () => {
  await dbops(...vacuum, '--wait')
  const said = await dbops('runs', '--task', 'pg.vacuum', '--state', 'succeeded,failed', '--since', '1h', '--limit', '1', '--json')
  expect([said.code, keysOf(said), said.records.length]).toEqual([0, runKeys, 1])
})

test('a list that is empty says what to do next', async () => {
  const { stdout } = await dbops('runs', '--state', 'parked')
  expect(stdout).toBe('environment: test\nno run like that; ./dbops runs lists all\n')
})

test('runs show tells all about a run, by the end of its id', async () => {
  const [run] = (await dbops(...vacuum, '--wait', '--json')).records
  const said = await dbops('runs', 'show', String(run!['id']).slice(-8), '--json')
  const more = 'parent entries attempts worker progress plan policy approval evidence history'.split(' ')
  expect([keysOf(said), said.records[0]?.['id']]).toEqual([[...runKeys, ...more], run!['id']])
})

test('runs show for people has its history', async () => {
  const [run] = (await dbops(...vacuum, '--wait', '--json')).records
  const { stdout } = await dbops('runs', 'show', String(run!['id']))
  expect(stdout).toMatch(
    /^environment: test\nrun [0-9a-f]{8} {2}pg\.vacuum:\w+ on core {2}succeeded\n[^]*\nhistory\n.* born [^]* dispatched[^]* claimed [^]* succeeded /,
  )
})

test('logs are the lines of a run', async () => {
  const [run] = (await dbops(...vacuum, '--wait', '--json')).records
  const said = await dbops('logs', String(run!['id']), '--follow', '--json')
  expect([said.code, keysOf(said), said.records.at(-1)?.['line']]).toEqual([0, ['n', 'at', 'level', 'line'], 'succeeded'])
})

test('retry is a new run with the cause retry', async () => {
  const [run] = (await dbops(...vacuum, '--wait', '--json')).records
  const said = await dbops('retry', String(run!['id']), '--wait', '--json')
  expect([said.code, said.records[0]?.['cause']]).toEqual([0, { kind: 'retry', run: run!['id'] }])
})

test('cancel of a run at work ends it within 15 s', async () => {
  await owner.query('BEGIN; LOCK TABLE core.users IN SHARE UPDATE EXCLUSIVE MODE')
  try {
    const [run] = (await dbops(...vacuum, '--json')).records
    await until(
      'it waits for the table',
      async () => (await owner.query(`SELECT FROM pg_locks WHERE NOT granted AND relation = 'core.users'::regclass`)).rowCount,
    )
    const said = await dbops('cancel', String(run!['id']).slice(-8), '--json')
    const sessions = await owner.query(
      `SELECT FROM pg_stat_activity WHERE application_name LIKE 'dbops:%:pg.vacuum' AND datname = current_database()`,
    )
    expect([said.code, said.records[0]?.['state'], sessions.rowCount, await line.events(String(run!['id']))]).toEqual([
      0,
      'cancelled',
      0,
      ['run_cancelled'],
    ])
  } finally {
    await owner.query('ROLLBACK')
  }
})

test('cancel of a run that has ended is refused', async () => {
  const [run] = (await dbops(...vacuum, '--wait', '--json')).records
  const { code, stderr } = await dbops('cancel', String(run!['id']))
  expect([code, stderr]).toEqual([4, expect.stringMatching(/^dbops: run [0-9a-f]{8} has ended: succeeded\nhint: /)])
})

test('backups lists what has a manifest, in the promised keys', async () => {
  await dbops('run', 'pg.dump', '--dump', 'users', '--wait')
  const said = await dbops('backups', '--target', 'core', '--json')
  const [{ kind, target, verified }] = said.records as [Record<string, unknown>]
  expect([keysOf(said), { kind, target, verified }]).toEqual([
    'id run target kind name operation store createdAt bytes files verified verdict location'.split(' '),
    { kind: 'dump', target: 'core', verified: null },
  ])
})

test('backups show prints the lines that restore it, which stand in its manifest', async () => {
  const [run] = (await dbops('run', 'pg.dump', '--dump', 'users', '--wait', '--json')).records
  const [backup] = (await dbops('backups', '--json')).records.filter(one => one['run'] === run!['id'])
  const { restore } = JSON.parse(readFileSync(`${fileURLToPath(String(backup!['location']))}/manifest.json`, 'utf8')) as {
    restore: string[]
  }
  const { stdout } = await dbops('backups', 'show', String(backup!['id']).slice(-8))
  expect(stdout).toContain(restore.map(command => `  ${command}`).join('\n'))
})

test('backups show --json has the manifest', async () => {
  await dbops('run', 'pg.dump', '--dump', 'users', '--wait')
  const [backup] = (await dbops('backups', '--json')).records
  const said = await dbops('backups', 'show', String(backup!['id']), '--json')
  expect([keysOf(said).at(-1), (said.records[0]!['manifest'] as { id: string }).id]).toEqual(['manifest', backup!['id']])
})

test('alerts tells what is wrong and who was told, in the promised keys', async () => {
  await dbops('run', 'pg.vacuum', '--target', 'guest', '--tables', 'core.users', '--wait')
  const [alert] = await until('somebody was told', async () => {
    const { records } = await dbops('alerts', '--state', 'firing', '--json')
    return (records[0]?.['deliveries'] as { state: string }[] | undefined)?.some(({ state }) => state === 'delivered') ? records : undefined
  })
  expect([Object.keys(alert!), Object.keys((alert!['deliveries'] as object[])[0]!).sort(), alert!['name'], alert!['state']]).toEqual([
    'id name severity target operation state since endedBy deliveries'.split(' '),
    ['at', 'channel', 'key', 'state'],
    'vacuum_failed',
    'firing',
  ])
})

test('alerts resolve ends an alert by hand, and those who were told of it are told', async () => {
  const [run] = (await dbops('run', 'pg.vacuum', '--target', 'guest', '--tables', 'core.users', '--wait', '--json')).records
  // Heard after the end it would be the next alert.
  const { id } = await until('the relay has heard of this failure, and told the alert', async () => {
    const { rows } = await line.ledger.query<{ id: string }>(
      `select e.id from episodes e join deliveries d on d.episode = e.id where e.state = 'firing' and e.event ->> 'runid' = $1 and d.status = 'delivered'`,
      [run!['id']],
    )
    return rows[0]
  })
  const said = await dbops('alerts', 'resolve', id.slice(-8), '--json')
  const told = await until('its end is told', async () => {
    const { rows } = await line.ledger.query(
      `select channel, nth from deliveries where episode = $1 and state = 'resolved' and status = 'delivered'`,
      [id],
    )
    return rows.length ? rows : undefined
  })
  const firing = (await dbops('alerts', '--state', 'firing', '--json')).records.map(alert => alert['id'])
  expect([said.code, said.records[0]?.['state'], told, firing.includes(id)]).toEqual([0, 'resolved', [{ channel: 'desk', nth: 0 }], false])
})

test('events are CloudEvents', async () => {
  await dbops(...vacuum, '--wait')
  const { records } = await dbops('events', '--since', '1h', '--json')
  expect(records.at(-1)).toMatchObject({
    specversion: '1.0',
    type: 'io.axiom.dbops.vacuum_completed.v1',
    subject: 'pg/core',
    environment: 'test',
  })
})

test('events --follow tells what is told, each once', async () => {
  const following = start(['events', '--follow', '--json', '--limit', '1'], { env: line.env })
  try {
    await following.says(/\n/)
    const [run] = (await dbops(...vacuum, '--wait', '--json')).records
    await following.says(new RegExp(String(run!['id'])))
    following.process.kill('SIGINT')
    const { code, stdout } = await following.ended
    const ids = stdout
      .trim()
      .split('\n')
      .map(text => (JSON.parse(text) as { id: string }).id)
    expect([code, new Set(ids).size]).toEqual([0, ids.length])
  } finally {
    following.process.kill('SIGKILL')
  }
})

test('status is one object of services, targets, queues, streams, overloads and next', async () => {
  const said = await dbops('status', '--json')
  const [{ services, targets, streams, next }] = said.records as [Record<string, Record<string, unknown>[]>]
  expect([
    said.records.length,
    keysOf(said),
    services!.map(({ app, ready }) => [app, ready]),
    [...new Set(targets!.map(({ name }) => name))],
    streams!.map(({ name }) => name),
    next!.map(({ schedule }) => schedule),
  ]).toEqual([
    1,
    ['services', 'targets', 'queues', 'streams', 'overloads', 'next'],
    [
      ['alert-relay', true],
      ['pg-maintainer', true],
      ['scheduler', true],
    ],
    ['core', 'guest'],
    ['dbops:events'],
    ['nightly', 'yearly'],
  ])
})

test('status for people is one screen that begins with the environment', async () => {
  const { stdout } = await dbops('status')
  const titles = stdout.split('\n').filter((text, i, all) => all[i - 1] === '' && text)
  expect([
    stdout.split('\n').length < 50,
    stdout.split('\n')[0],
    titles.filter(title => !['alerts', 'findings', 'overload'].includes(title)),
  ]).toEqual([true, 'environment: test', ['services', 'targets', 'queues', 'events', 'next']])
})

test('status --watch is one page on a terminal, and gives it back when it is ended', async () => {
  const watching = onTerminal(`${process.execPath} ${main} status --watch 0.5`, line.env)
  await until('the page is there twice', () => [...watching.text().matchAll(/NEXT RUNS/g)].length >= 2)
  watching.interrupt()
  const code = await watching.ended
  const text = watching.text()
  const at = (sequence: string) => text.lastIndexOf(sequence)
  expect([
    code,
    ['NEXT RUNS', 'RUNNING', 'LAST RESULTS', 'NOTIFICATIONS'].every(title => text.includes(title)),
    at('\u001b[?1049l') > at('\u001b[?1049h'),
    at('\u001b[?25h') > at('\u001b[?25l'),
  ]).toEqual([0, true, true, true])
})

test('a page whose process is killed by SIGTERM gives the terminal back too', async () => {
  const watching = onTerminal(`${process.execPath} ${main} status --watch & sleep 2; kill -TERM $!; wait $!`, line.env)
  await watching.ended
  const text = watching.text()
  expect([text.includes('NEXT RUNS'), text.lastIndexOf('\u001b[?1049l') > text.lastIndexOf('\u001b[?1049h')]).toEqual([true, true])
})

test('status --watch --json is the object again and again', async () => {
  const watching = start(['status', '--watch', '0.3', '--json'], { env: line.env })
  await watching.says(/\n.*\n/)
  watching.process.kill('SIGINT')
  const { code, stdout } = await watching.ended
  const keys = stdout
    .trim()
    .split('\n')
    .map(text => Object.keys(JSON.parse(text) as object).join(' '))
  expect([code, keys.length >= 2, [...new Set(keys)]]).toEqual([0, true, ['services targets queues streams overloads next']])
})

test('targets says what is looked after, and targets check what a maintainer found', async () => {
  const all = await dbops('targets', '--json')
  const found = await until('the maintainer has looked', async () => {
    const said = await dbops('targets', 'check', 'core', '--json')
    return said.records.some(({ what }) => String(what).startsWith('PostgreSQL')) ? said : undefined
  })
  const unknown = await dbops('targets', 'check', 'cora')
  expect([
    keysOf(all),
    all.records.map(({ name, engine, state }) => [name, engine, state]),
    [found.code, keysOf(found)],
    [unknown.code, unknown.stderr],
  ]).toEqual([
    'name engine state since readAt version health error'.split(' '),
    [
      ['core', 'pg', 'up'],
      ['guest', 'pg', 'up'],
    ],
    [0, ['area', 'level', 'what', 'hint']],
    [2, 'dbops: there is no target "cora"\nhint: did you mean "core"?\n'],
  ])
})

test('probes has the last reading of each, and one whole', async () => {
  const all = await dbops('probes', '--target', 'core', '--json')
  const one = await dbops('probes', 'pg.health', '--target', 'core')
  const unknown = await dbops('probes', 'pg.healt')
  expect([keysOf(all), all.records.some(({ probe }) => probe === 'pg.health'), one.stdout, [unknown.code, unknown.stderr]]).toEqual([
    'target probe state since at result error every age'.split(' '),
    true,
    expect.stringMatching(/pg\.health of core +ok since [^\n]*; read \d+s ago, every 10s\n.*max connections +\d+/s),
    [2, 'dbops: there is no probe "pg.healt"\nhint: did you mean "pg.health"?\n'],
  ])
})

test('locks shows who waits for whom, as a tree', async () => {
  const waiting = new Client({ connectionString: core.url, application_name: 'waiter' })
  await waiting.connect()
  await owner.query('BEGIN; LOCK TABLE core.users IN ACCESS EXCLUSIVE MODE')
  const waits = waiting.query('SELECT count(*) FROM core.users')
  try {
    const { stdout } = await until('the probe has seen it', async () => {
      const said = await dbops('locks', '--target', 'core')
      return said.stdout.includes('session waits') ? said : undefined
    })
    expect(stdout).toMatch(
      /core: 1 session waits .*\n\d+ .*\(idle in transaction\), its transaction open for .*; holds up 1, .*\n[^]*└─ \d+ \S+ "waiter" \(active\) waits .* for AccessShare on core\.users/,
    )
  } finally {
    await owner.query('ROLLBACK')
    await waits
    await waiting.end()
  }
})

test('a finding is listed, shown with its SQL, acknowledged, and gone when it is not found again', async () => {
  const source = 'pg.test'
  const fault = {
    key: 'x',
    level: 'error',
    what: 'a test is planted',
    hint: 'take it away',
    sql: 'SELECT 1',
    evidence: { planted: 1 },
  } as const
  await saveFindings(line.ledger, { target: 'core', source }, [fault])
  const [found] = (await dbops('findings', '--json')).records.filter(one => one['source'] === source)
  const id = String(found!['id']).slice(-8)
  const shown = await dbops('findings', 'show', id)
  const acknowledged = await dbops('findings', 'acknowledge', id, '--note', 'on Sunday')
  const after = await dbops('findings', 'show', id)
  await saveFindings(line.ledger, { target: 'core', source }, [])
  const standing = (await dbops('findings', '--json')).records.filter(one => one['source'] === source)
  const again = await dbops('findings', 'acknowledge', id)
  expect([shown.stdout, acknowledged.code, after.stdout, standing, [again.code, again.stderr]]).toEqual([
    expect.stringMatching(
      /error +core, by pg\.test +open\n +a test is planted\n +hint: take it away\n\nwhat would mend it[^\n]*\n +SELECT 1\n\nevidence\n +planted +1\n/,
    ),
    0,
    expect.stringMatching(/acknowledged\n[^]*acknowledge by \S+: on Sunday/),
    [],
    [4, `dbops: finding ${id} is gone\nhint: there is nothing to know of any more; ./dbops findings lists what stands\n`],
  ])
})

test('backups verify restores a backup, prints the lines that do the same, and tells every check', async () => {
  await dbops('run', 'pg.dump', '--dump', 'users', '--wait')
  const [backup] = (await dbops('backups', '--json')).records
  const verified = await dbops('backups', 'verify', String(backup!['id']).slice(-8))
  const [after] = (await dbops('backups', '--json')).records.filter(one => one['id'] === backup!['id'])
  expect([verified.code, verified.stdout, after!['verdict'], verified.stderr]).toEqual([
    0,
    expect.stringMatching(/restore, without this system\n[^]*pg_restore [^]*verdict pass: \d+ checks[^]*\n +pass +counts [^]*RPO .*, RTO /),
    'pass',
    '',
  ])
}, 60_000)

test('a run that is waited for says each attempt that failed before the next', async () => {
  const store = `${line.folder}/store`
  renameSync(store, `${store}.away`)
  try {
    const waiting = start(['run', 'pg.dump', '--dump', 'users', '--wait'], { env: line.env })
    await until('the failure is said', () => /attempt 1 of \d failed: store "main" .*; again in \d+s\n/.test(waiting.stderr()))
    const [run] = (await dbops('runs', '--state', 'queued', '--json')).records
    const id = String(run!['id'])
    const [shown, logs] = [await dbops('runs', 'show', id), await dbops('logs', id)]
    expect([shown.stdout, logs.stdout]).toEqual([
      expect.stringMatching(
        /\n {2}again +\d\d:\d\d:\d\d[^\n]*, in \d+s\n[^]*\n {2}[^\n]* retry +attempt 1 [^\n]*the folder does not exist {2}again at \d\d:\d\d:\d\d\n/,
      ),
      expect.stringMatching(/attempt 1 of \d has failed; again at \d\d:\d\d:\d\d UTC\n/),
    ])
    await dbops('cancel', String(run!['id']).slice(-8))
    expect((await waiting.ended).code).toBe(1)
  } finally {
    renameSync(`${store}.away`, store)
  }
})

test('schedules has the next slots of each, in the promised keys', async () => {
  const said = await dbops('schedules', '--json')
  expect([keysOf(said), said.records.map(({ name }) => name), (said.records[0]!['next'] as string[]).length]).toEqual([
    'name target task operation params cron event debounceMs events zone enabled next paused last'.split(' '),
    ['nightly', 'yearly'],
    5,
  ])
})

test('workers are the services, with their lanes', async () => {
  const said = await dbops('workers', '--json')
  expect([keysOf(said), said.records.map(({ app, lanes }) => [app, lanes])]).toEqual([
    'name app version catalogHash sameCatalog ready reasons address startedAt seenAt age lanes excess redisRights'.split(' '),
    [
      ['alert-relay', {}],
      // No task of PostgreSQL is light, so there is no such lane.
      ['pg-maintainer', { heavy: 2 }],
      ['scheduler', {}],
    ],
  ])
})

test('pause is shown by schedules, and lifted by resume', async () => {
  const paused = await dbops('pause', 'nightly', '--until', '2d', '--json')
  const shown = (await dbops('schedules', '--json')).records.map(({ name, paused }) => [name, (paused as { scope: string } | null)?.scope])
  const resumed = await dbops('resume', 'nightly', '--json')
  expect([keysOf(paused), shown, resumed.records]).toEqual([
    ['id', 'scope', 'name', 'until', 'actor'],
    [
      ['nightly', 'schedule'],
      ['yearly', undefined],
    ],
    [{ scope: 'schedule', name: 'nightly', lifted: 1 }],
  ])
})

test.each([
  [['pause', 'nightly'], 'until when?'],
  [['pause', 'nightli', '--until', '2h'], 'there is no schedule "nightli"\nhint: did you mean "nightly"?'],
  [['pause', '--target', 'cora', '--until', '2h'], 'there is no target "cora"\nhint: did you mean "core"?'],
  [['pause', '--task', 'pg.vacum', '--until', '2h'], 'there is no task "pg.vacum"\nhint: did you mean "pg.vacuum"?'],
  [['runs', '--task', 'pg.vacum'], 'there is no task "pg.vacum"\nhint: did you mean "pg.vacuum"?'],
  [['runs', '--target', 'cora'], 'there is no target "cora"\nhint: did you mean "core"?'],
  [['pause', '--all', 'nightly', '--until', '2h'], 'more than one is named'],
  [['pause', '--all', '--until', '2001-01-01T00:00'], '--until: "2001-01-01T00:00" is past'],
  [['pause', '--all', '--until', 'soon'], '--until: "soon" is neither a duration nor a point in time'],
])('%j is refused with 2', async (args, why) => {
  const { code, stderr } = await dbops(...args)
  expect([code, stderr.startsWith(`dbops: ${why}\n`)]).toEqual([2, true])
})

test('doctor tells what the maintainers found, and ends with 1 for an error', async () => {
  const found = await until('the maintainer has looked', async () => {
    const said = await dbops('doctor', '--config', line.configFile, '--json')
    return said.records.some(({ area }) => area === 'target core') ? said : undefined
  })
  const healthy = found.records.filter(({ level }) => level === 'error')
  const broken = await dbops('doctor', '--config', '/nonexistent.yaml', '--json')
  expect([keysOf(found), healthy, found.code, broken.code]).toEqual([['area', 'level', 'what', 'hint'], [], 0, 1])
})
