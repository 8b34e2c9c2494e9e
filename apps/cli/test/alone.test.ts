// The commands where things are missing: no maintainer that would take a run, no scheduler, no ledger; and in `prod`.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { recordFailure } from '@dbops/ledger/alerts'
import { deedsOf } from '@dbops/ledger/audit'
import { setAside } from '@dbops/ledger/dead-letters'
import { publish } from '@dbops/ledger/outbox'
import { type Birth, bear } from '@dbops/ledger/runs'
import { anEvent } from '@dbops/testing/an-event'
import { birth } from '@dbops/testing/birth'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dbops as anywhere, main, start } from './a-command.ts'
import { keysOf, onTheLine, type Said } from './on-the-line.ts'

let line: Line
let dbops: (...words: string[]) => Promise<Said>

beforeAll(async () => {
  line = await startLine(`
environment: prod
targets: { core: { engine: pg, url: "postgres://nobody@127.0.0.1:1/none" } }
schedules: { nightly: { task: pg.vacuum, target: core, cron: "30 2 * * *", params: { tables: [core.users] } } }
`)
  dbops = onTheLine(line)
  await line.start('apps/scheduler/src/main.ts')
})
afterAll(() => line?.close())

const vacuum = ['run', 'pg.vacuum', '--tables', 'core.users']

test('in prod nothing is done without an answer', async () => {
  const { code, stderr } = await dbops(...vacuum)
  expect([code, stderr]).toEqual([2, 'dbops: not done without an answer: run pg.vacuum (environment prod)\nhint: say --yes\n'])
})

test.each([[['pause', '--all', '--until', '2h']], [['resume', '--all']]])('in prod %j wants --yes', async words => {
  const { code, stderr } = await dbops(...words)
  expect([code, stderr.endsWith('hint: say --yes\n')]).toEqual([2, true])
})

test('--yes is the answer in advance, and the environment is the first line', async () => {
  const { code, stdout } = await dbops(...vacuum, '--yes')
  expect([code, stdout]).toEqual([0, expect.stringMatching(/^environment: prod\nrun [0-9a-f]{8}: pg\.vacuum:\w+ on core is queued\n/)])
})

test('a wait that times out ends with 5 and says how to go on', async () => {
  const { code, stderr } = await dbops(...vacuum, '--timeout', '1s', '--yes')
  expect([code, stderr]).toEqual([
    5,
    expect.stringMatching(/^dbops: the wait timed out: run [0-9a-f]{8} is queued.*\nhint: the run goes on: .*dbops cancel [0-9a-f]{8}\n$/),
  ])
})

test('Ctrl-C ends the wait and not the run', async () => {
  const waiting = start([...vacuum, '--wait', '--yes'], { env: line.env })
  await waiting.says(/environment: prod/)
  waiting.process.kill('SIGINT')
  const { code, stderr } = await waiting.ended
  expect([code, stderr]).toEqual([
    5,
    expect.stringMatching(/^dbops: not waited any longer: run [0-9a-f]{8} is queued.*\nhint: the run goes on/),
  ])
})

test('a queued run is cancelled at once: event, history, audit', async () => {
  const [run] = (await dbops(...vacuum, '--yes', '--json')).records
  const id = String(run!['id'])
  const said = await dbops('cancel', id, '--yes', '--json')
  const { rows: audit } = await line.ledger.query('select action from audit where subject = $1', [id])
  const { rows: history } = await line.ledger.query<{ event: string }>('select event from history where run = $1 order by n', [id])
  expect([said.code, said.records[0]?.['state'], await line.events(id), audit, history.at(-1)?.event]).toEqual([
    0,
    'cancelled',
    ['run_cancelled'],
    [{ action: 'cancel' }],
    'cancelled',
  ])
})

test('a run that waits for a lock says for whose', async () => {
  const locks = [{ name: 'only', exclusive: true }]
  const [first, second] = [await born({ locks }), await born({ locks })]
  const waits = await until('it says so', async () => (await dbops('runs', 'show', second, '--json')).records[0]?.['waitingFor'])
  expect(waits).toBe(`lock only, after ${first.slice(-8)}`)
})

test('--wait ends with 1 when the run is cancelled', async () => {
  const waiting = start([...vacuum, '--wait', '--yes', '--key', 'cancelled', '--json'], { env: line.env })
  const [run] = await until('it is there', async () => {
    const { records } = await dbops(...vacuum, '--yes', '--key', 'cancelled', '--json')
    return records.length ? records : undefined
  })
  await dbops('cancel', String(run!['id']), '--yes')
  const { code, stdout } = await waiting.ended
  expect([code, (JSON.parse(stdout) as { state: string }).state]).toEqual([1, 'cancelled'])
})

test('a run that puts back what another has changed is not cancelled', async () => {
  const parent = await born({})
  const recovery = await born({ mode: 'recover', parent, recovers: true })
  const { code, stderr } = await dbops('cancel', recovery, '--yes')
  expect([code, stderr]).toEqual([4, expect.stringMatching(/puts back what run [0-9a-f]{8} has changed; it is not cancelled\nhint: /)])
})

test('two runs that end alike are told apart by more of their ids', async () => {
  const tail = 'abcd-00000000beef'
  const [one, other] = [
    `019a0000-0000-7000-8${tail.slice(1, 4)}-${tail.slice(5)}`,
    `019b0000-0000-7000-8${tail.slice(1, 4)}-${tail.slice(5)}`,
  ]
  for (const id of [one, other]) await born({ id })
  const { code, stderr } = await dbops('runs', 'show', '0000beef')
  const whole = await dbops('runs', 'show', one, '--json')
  expect([code, stderr, whole.records[0]?.['id']]).toEqual([
    2,
    `dbops: 0000beef is ambiguous: ${other} and ${one} end in it\nhint: give more of its end, or the whole\n`,
    one,
  ])
})

test('in prod an alert is not ended by hand without an answer', async () => {
  const id = await wrong('asked')
  const { code, stderr } = await dbops('alerts', 'resolve', id.slice(-8))
  const { rows } = await line.ledger.query('select state from episodes where id = $1', [id])
  expect([code, stderr, rows]).toEqual([
    2,
    `dbops: not done without an answer: end alert ${id.slice(-8)}, catalog_mismatch of asked on core, by hand (environment prod)\nhint: say --yes\n`,
    [{ state: 'firing' }],
  ])
})

test('alerts resolve ends an alert, says who did, and writes it into the audit', async () => {
  const id = await wrong('ended')
  const said = await dbops('alerts', 'resolve', id.slice(-8), '--yes', '--json')
  const { rows: audit } = await line.ledger.query<{ actor: string; action: string }>('select actor, action from audit where subject = $1', [
    id,
  ])
  const [{ state, endedBy }] = said.records as [Record<string, unknown>]
  expect([said.code, keysOf(said), state, audit]).toEqual([
    0,
    'id name severity target operation state since endedBy deliveries'.split(' '),
    'resolved',
    [{ actor: endedBy, action: 'resolve' }],
  ])
})

test('an alert that nobody was told of is ended in silence, and the command says so', async () => {
  const id = await wrong('silent')
  const { code, stdout } = await dbops('alerts', 'resolve', id.slice(-8), '--yes')
  expect([code, stdout]).toEqual([
    0,
    `environment: prod\nalert ${id.slice(-8)}: catalog_mismatch of silent on core is ended by hand; nobody was told of it, so nobody is told of its end\n`,
  ])
})

test('an alert that is resolved already is refused with 4', async () => {
  const id = await wrong('twice')
  await dbops('alerts', 'resolve', id, '--yes')
  const { code, stderr } = await dbops('alerts', 'resolve', id, '--yes')
  expect([code, stderr]).toEqual([
    4,
    `dbops: alert ${id.slice(-8)} is resolved already\nhint: ./dbops alerts --state firing shows what is not\n`,
  ])
})

test('a dead letter is listed, shown and let go out again, and both are said', async () => {
  const event = heavyEvent()
  await line.ledger.transaction(db => publish(db, [event]))
  await setAside(line.ledger, { reader: 'cellar', entry: '1-0', reason: 'no such table', event: event.id, ce: JSON.stringify(event) })
  const [{ id }] = (await dbops('dlq', '--reader', 'cellar', '--json')).records as [{ id: string }]
  const shown = await dbops('dlq', 'show', id.slice(-8))
  const asked = await dbops('dlq', 'replay', id.slice(-8))
  const replayed = await dbops('dlq', 'replay', '--all', '--reader', 'cellar', '--yes')
  const twice = await dbops('dlq', 'replay', id.slice(-8), '--yes')
  const empty = await dbops('dlq', '--reader', 'cellar')
  expect([shown.stdout, asked.stderr, replayed.stdout, twice.code, twice.stderr, empty.stdout]).toEqual([
    expect.stringMatching(/^environment: prod\ndead letter [0-9a-f]{8} of cellar, entry 1-0, since .*\n {2}no such table\n {2}hint: mend /),
    `dbops: not done without an answer: let dead letter ${id.slice(-8)} go out again (environment prod)\nhint: say --yes\n`,
    'environment: prod\n1 of 1 goes out again; ./dbops dlq shows what is set aside once more\n',
    4,
    expect.stringMatching(/^dbops: dead letter [0-9a-f]{8} went out again .*, by .*\nhint: /),
    'environment: prod\nnothing that was set aside waits; ./dbops dlq --all shows what went out again\n',
  ])
})

test('a dead letter about which nothing is to be done is dropped with a reason, once, and goes out no more', async () => {
  const event = heavyEvent()
  await setAside(line.ledger, { reader: 'shed', entry: '4-0', reason: 'no such table', event: event.id, ce: JSON.stringify(event) })
  const [{ id }] = (await dbops('dlq', '--reader', 'shed', '--json')).records as [{ id: string }]
  const silent = await dbops('dlq', 'drop', id, '--yes')
  const dropped = await dbops('dlq', 'drop', id, '--reason', 'a test of ours', '--yes')
  const twice = await dbops('dlq', 'drop', id, '--reason', 'again', '--yes')
  const replayed = await dbops('dlq', 'replay', id, '--yes')
  const shown = await dbops('dlq', 'show', id)
  expect([silent.code, dropped.stdout, twice.code, replayed.code, (await dbops('dlq', '--reader', 'shed', '--json')).records]).toEqual([
    2,
    'environment: prod\n1 of 1 dropped; ./dbops dlq --all still shows it\n',
    4,
    4,
    [],
  ])
  expect(shown.stdout).toMatch(/dropped .*, by .*: a test of ours\n/)
  expect(await deedsOf(line.ledger, id)).toMatchObject([{ action: 'drop', detail: { reason: 'a test of ours' } }])
})

test('status and doctor say that dead letters wait, and the word for the list may stand there', async () => {
  const event = heavyEvent()
  await setAside(line.ledger, { reader: 'loft', entry: '3-0', reason: 'no such table', event: event.id, ce: JSON.stringify(event) })
  const [status, doctor, list] = [await dbops('status'), await dbops('doctor'), await dbops('dlq', 'list', '--reader', 'loft', '--json')]
  await dbops('dlq', 'replay', '--all', '--reader', 'loft', '--yes')
  expect([status.stdout, doctor.stdout, list.records.length]).toEqual([
    expect.stringContaining('loft: 1 dead letter set aside: ./dbops dlq --reader loft\n'),
    expect.stringMatching(/warning {2}1 dead letter of loft waits for somebody to look at it\n +hint: \.\/dbops dlq --reader loft\n/),
    1,
  ])
})

test('locks of a target that is no PostgreSQL are refused with the reason', async () => {
  await line.ledger.query(`insert into targets (name, engine, heavy, light) values ('cache', 'redis', 2, 4)`)
  const { code, stderr } = await dbops('locks', '--target', 'cache')
  await line.ledger.query(`delete from targets where name = 'cache'`)
  expect([code, stderr]).toEqual([2, expect.stringMatching(/^dbops: cache is of engine redis, .*\nhint: /)])
})

test('what is no event cannot go out again, and --all passes it by', async () => {
  await setAside(line.ledger, {
    reader: 'attic',
    entry: '2-0',
    reason: 'its field "ce" is no JSON',
    event: null,
    ce: '{"password": "hunter22',
  })
  const [{ id, ce }] = (await dbops('dlq', '--reader', 'attic', '--json')).records as [{ id: string; ce: string }]
  const one = await dbops('dlq', 'replay', id, '--yes')
  const all = await dbops('dlq', 'replay', '--all', '--reader', 'attic', '--yes')
  expect([ce, one.code, one.stderr, all.code, all.stdout]).toEqual([
    expect.not.stringContaining('hunter22'),
    4,
    expect.stringMatching(/^dbops: dead letter [0-9a-f]{8} is no event, so it cannot go out again\nhint: /),
    0,
    'environment: prod\nnothing waits that could go out again\n',
  ])
})

test('config diff says what a configuration would change and changes nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cli-diff-'))
  const file = join(folder, 'next.yaml')
  writeFileSync(
    file,
    `
environment: prod
targets: { core: { engine: pg, url: "\${CORE_URL}", concurrency: { heavy: 3 } } }
schedules:
  nightly: { task: pg.vacuum, target: core, cron: "45 3 * * *", params: { tables: [core.users] } }
  hourly: { task: pg.analyze, target: core, cron: "0 * * * *" }
`,
  )
  await until('the plan stands', async () => (await line.ledger.query('select from schedules')).rowCount === 1)
  const { code, stdout } = await dbops('config', 'diff', file, '--exit-code')
  const { rows } = await line.ledger.query(`select name, spec ->> 'cron' as cron from schedules`)
  rmSync(folder, { recursive: true })
  expect([code, stdout.split('\n').slice(1), rows]).toEqual([
    1,
    [
      '~ target core  changed',
      '    heavy: 2 → 3',
      '~ schedule nightly on core  changed',
      '    cron: 30 2 * * * → 45 3 * * *',
      expect.stringMatching(/^ {4}due next: .*02:30.* → .*03:45/),
      '+ schedule hourly on core  added',
      '    task: pg.analyze',
      '    cron: 0 * * * * (UTC)',
      expect.stringMatching(/^ {4}due next: .*:00/),
      '3 changes; 0 schedules as before',
      '',
    ],
    [{ name: 'nightly', cron: '30 2 * * *' }],
  ])
})

test.each([
  ['its own', (own: string) => own, 0, []],
  ['another section', (own: string) => `${own}\nmetrics: { compat: false }\n`, 1, [['rest', 'changed']]],
  [
    'one with a schedule that is off',
    (own: string) => own.replace('task: pg.vacuum,', '$& enabled: false,'),
    1,
    [['schedule', 'disabled']],
  ],
  ['one without a schedule', (own: string) => own.replace(/^schedules:.*$/m, ''), 1, [['schedule', 'removed']]],
  ['that of elsewhere', (own: string) => own.replace('environment: prod', 'environment: dev'), 1, [['environment', 'changed']]],
])('config diff of %s', async (_, edit, code, changes) => {
  const folder = mkdtempSync(join(tmpdir(), 'cli-diff-'))
  const file = join(folder, 'next.yaml')
  writeFileSync(file, edit(readFileSync(line.configFile, 'utf8')))
  const said = await dbops('config', 'diff', file, '--exit-code', '--json')
  rmSync(folder, { recursive: true })
  expect([said.code, said.records.map(({ kind, change }) => [kind, change])]).toEqual([code, changes])
})

test('locks release wants a reason, leaves alone who is heard of, and says what it did', async () => {
  const id = await born({ task: 'pg.vacuum', operation: 'pg.vacuum' })
  await line.ledger.query(
    `update runs set state = 'running', dispatched_at = now(), worker = 'pg-maintainer@elsewhere:1', fence = nextval('fences'), attempt = 1,
       lease_until = now() + interval '1 hour' where id = $1`,
    [id],
  )
  const silent = await dbops('locks', 'release', id, '--yes')
  const fresh = await dbops('locks', 'release', id, '--reason', 'INC-12', '--yes')
  const forced = await dbops('locks', 'release', id, '--reason', 'INC-12', '--force', '--yes')
  const after = await dbops('locks', 'release', id, '--reason', 'INC-12', '--yes')
  expect([silent.code, fresh.code, fresh.stderr, forced.code, forced.stdout, after.code]).toEqual([
    2,
    4,
    expect.stringMatching(
      /^dbops: run [0-9a-f]{8} is in the hands of pg-maintainer@elsewhere:1, whose lease is fresh\nhint: dbops cancel /,
    ),
    0,
    expect.stringMatching(/was taken from pg-maintainer@elsewhere:1; it is failed, the outcome unknown\n/),
    4,
  ])
})

test('two alerts that end alike are told apart by more of their ids', async () => {
  const ids = [await wrong('one'), await wrong('other')]
  const alike = ids.map((id, i) => `01${'9a9b'.slice(2 * i, 2 * i + 2)}${id.slice(4, -8)}00000a1e`).sort()
  for (const [i, id] of ids.entries()) await line.ledger.query('update episodes set id = $2 where id = $1', [id, alike[i]])
  const { code, stderr } = await dbops('alerts', 'resolve', '00000a1e', '--yes')
  expect([code, stderr]).toEqual([
    2,
    `dbops: 00000a1e is ambiguous: ${alike[1]} and ${alike[0]} end in it\nhint: give more of its end, or the whole\n`,
  ])
})

test.each([
  ['an unknown run', ['runs', 'show', 'ffffffff'], 'there is no run ffffffff', './dbops runs shows them'],
  ['too short an id', ['logs', 'beef'], '"beef" is no id of a run', 'its last 8 characters will do; ./dbops runs shows them'],
  ['an unknown alert', ['alerts', 'resolve', 'ffffffff'], 'there is no alert ffffffff', './dbops alerts shows them'],
  ['an unknown backup', ['backups', 'show', 'ffffffff'], 'there is no backup ffffffff', './dbops backups shows them'],
  ['a misspelt state', ['runs', '--state', 'faild'], expect.stringMatching(/^--state: "faild" is not one of /), 'did you mean "failed"?'],
  ['no number', ['runs', '--limit', 'many'], '--limit: "many" is no whole number from 1 to 10000', 'for example --limit 50'],
  [
    'too long',
    ['runs', '--since', '999999999999d'],
    '--since: "999999999999d" leads out of the calendar',
    'write 30m, 2h, 7d, at most 99999d',
  ],
  ['no time', ['runs', '--since', 'yesterday'], '--since: "yesterday" is neither a duration nor a point in time', expect.any(String)],
])('%s ends with 2 and a hint', async (_, words, message, hint) => {
  const { code, stderr } = await dbops(...words)
  const [, said, hinted] = /^dbops: (.*)\nhint: (.*)\n$/.exec(stderr) ?? []
  expect([code, said, hinted]).toEqual([2, message, hint])
})

test('a list of many is whole for a slow reader, and is left quietly by one that has read enough', async () => {
  await line.ledger.transaction(db => publish(db, Array.from({ length: 500 }, heavyEvent)))
  const list = '"$0" "$1" events --json --since 1h'
  const slow = await shell(`${list} | (sleep 1; wc -l)`)
  const enough = await shell(`${list} | head -1 | wc -l`)
  expect([Number(slow.stdout) >= 500, slow.stderr, enough.stdout.trim(), enough.stderr]).toEqual([true, '', '1', ''])
})

test('doctor ends with 1 where a service that must be there is not', async () => {
  const { code, records } = await dbops('doctor', '--json')
  const missing = records.filter(({ level }) => level === 'error').map(({ what }) => what)
  expect([code, missing]).toEqual([1, ['no pg-maintainer is running', 'no alert-relay is running']])
})

test.each([
  ['an unknown task', ['run', 'pg.vacum', '--tables', 'a.b'], 'there is no task "pg.vacum"', 'did you mean "pg.vacuum"?'],
  ['no task', ['run'], 'which task?', './dbops run --help lists them; its name comes first'],
  ['a missing flag', ['run', 'pg.dump'], '--dump is missing', expect.stringMatching(/^for example: \.\/dbops run pg\.dump --dump /)],
  [
    'a bad value',
    ['run', 'pg.vacuum', '--tables', 'x'],
    '--tables[0]: "x" is not of the right form',
    expect.stringMatching(/^write schema\.table/),
  ],
  ['a misspelt flag', ['run', 'pg.vacuum', '--table', 'a.b'], "unknown option '--table'", 'did you mean --tables?'],
  [
    'a wait of no time',
    ['run', 'pg.vacuum', '--tables', 'a.b', '--timeout', '5'],
    '--timeout: "5" is no duration; write for example 30s, 15m or 7d, at most 99999d',
    undefined,
  ],
])('without any server: %s ends with 2', async (_, words, message, hint) => {
  const { code, stderr } = await anywhere(words)
  const [, said, hinted] = /^dbops: (.*)\n(?:hint: (.*)\n)?$/.exec(stderr) ?? []
  expect([code, said, hinted]).toEqual([2, message, hint])
})

test('run --help lists the tasks with what they do', async () => {
  const { stdout } = await anywhere(['run', '--help'])
  expect(stdout).toMatch(/pg\.dump .*Dump [^]*pg\.vacuum .*Remove dead rows/)
})

test('the help of a task has its flags, defaults and an example that can be typed', async () => {
  const { stdout } = await anywhere(['run', 'pg.vacuum', '--help'])
  const words = [
    '--tables <table>',
    '(again or comma-separated)',
    '--no-analyze',
    '(default true)',
    '--dry-run',
    './dbops run pg.vacuum --wait',
  ]
  expect(words.filter(word => !stdout.includes(word))).toEqual([])
})

test('no ledger at all ends with 3 and says how to name one', async () => {
  const { code, stderr } = await anywhere(['runs'], { env: { DBOPS_HOME: line.folder } })
  expect([code, stderr]).toEqual([
    3,
    expect.stringMatching(/^dbops: no ledger is known here\nhint: start one with \.\/dbops up, or name it/),
  ])
})

test('a ledger that does not answer ends with 3', async () => {
  const { code, stderr } = await anywhere(['status'], { env: { DBOPS_LEDGER_URL: 'postgres://me:secret@127.0.0.1:1/none' } })
  expect([code, stderr]).toEqual([3, expect.stringMatching(/^dbops: the ledger at 127\.0\.0\.1:1 does not answer: .*\nhint: /)])
})

test('a command that no scheduler takes up ends with 3, and nothing is started', async () => {
  const lonely = await startLine('environment: dev\n')
  try {
    const { code, stderr } = await anywhere(['run', 'pg.vacuum', '--tables', 'a.b', '--yes'], { env: lonely.env })
    const { rows } = await lonely.ledger.query('select id from commands')
    expect([code, stderr, rows]).toEqual([3, expect.stringMatching(/^dbops: no scheduler answered\nhint: /), []])
  } finally {
    await lonely.close()
  }
})

/** A line of bash in which `"$0" "$1"` is the command line. */
async function shell(script: string): Promise<{ stdout: string; stderr: string }> {
  const child = spawn('bash', ['-c', script, process.execPath, main], { env: { ...process.env, ...line.env } })
  const [stdout, stderr] = await Promise.all([child.stdout, child.stderr].map(text))
  return { stdout: stdout!, stderr: stderr! }
}

const heavyEvent = () => anEvent({ environment: 'prod', weight: 1_000 })

/** An alert that fires, as the relay would have written it; returns its id. */
async function wrong(operation: string): Promise<string> {
  const identity = { name: 'catalog_mismatch', environment: 'prod', subject: 'pg/core', operation }
  const episode = await line.ledger.transaction(db => recordFailure(db, identity, heavyEvent(), new Date()))
  if (episode === 'already_resolved') throw new Error(`${operation} has succeeded`)
  return episode.id
}

/** A run that nobody will take. */
async function born(over: Partial<Birth>): Promise<string> {
  const b = birth({ task: 'pg.none', operation: 'pg.none', locks: [], attempts: 1, retry: 'never', ...over })
  await bear(line.ledger, b)
  return b.id
}
