// A rolling update: rows of a version that knows more than this one lie in the ledger. Services go on and leave them alone, commands show what they understand of them, nothing is lost.
import { listServices } from '@dbops/ledger/services'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { v7 as uuidv7 } from 'uuid'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { onTheLine } from './on-the-line.ts'

const apps = ['scheduler', 'pg-maintainer', 'redis-inspector', 'alert-relay']
const [queued, parked, ended, known, waiting, event, episode, finding, letter, artifact] = Array.from({ length: 10 }, () => uuidv7())
let line: Line
let core: Awaited<ReturnType<typeof freshDatabase>>
let dbops: ReturnType<typeof onTheLine>

const run = `insert into runs (id, task, engine, lane, target, mode, state, cause, actor, operation, spec, valid_until, attempts, retry, backoff_ms, timeout_ms, `
const some = `'{ "kind": "constellation", "by": ["a"] }', 'newer', $2, '{ "params": { "deep": { "er": [1] } }, "entries": {}, "shape": 7 }', now() + interval '1 hour', 1, 'in-a-new-way', 1000, 60000`
/** Each as the version after this one might write it: words, shapes and names that nobody here has heard of. */
const rows: [what: string, sql: string, values: unknown[]][] = [
  ['a target of another engine', `insert into targets (name, engine, heavy, light) values ('books', 'mysql', 1, 1)`, []],
  [
    'a run of an unknown task',
    `${run} waiting_for) values ($1, 'mysql.dump', 'mysql', 'gentle', 'books', 'do', 'queued', ${some}, 'the moon')`,
    [queued, 'mysql.dump'],
  ],
  [
    'a parked one',
    `${run} not_before, state_kept, fence, attempt) values ($1, 'mysql.dump', 'mysql', 'gentle', 'books', 'do', 'parked', ${some}, now() + interval '1 hour', '[[1], null]', 7000001, 1)`,
    [parked, 'mysql.dump:b'],
  ],
  [
    'one that has ended, with facts of its own',
    `${run} finished_at, started_at, result, evidence, error, progress, policy) values ($1, 'mysql.dump', 'mysql', 'gentle', 'books', 'do', 'failed', ${some}, now(), now() - interval '1 minute', '[{ "a": [[1]] }, 7, null]', '"all"', '{ "code": "moon_full", "message": "the moon is full", "more": [1] }', '{ "phase": 7 }', '"strict"')`,
    [ended, 'mysql.dump'],
  ],
  [
    'a known task with another result',
    `${run} finished_at, started_at, result, evidence) values ($1, 'pg.vacuum', 'pg', 'heavy', 'core', 'do', 'succeeded', ${some}, now(), now(), '{ "tables": "all of them" }', '[1, 2]')`,
    [known, 'pg.vacuum'],
  ],
  [
    'one whose approval is told in another way',
    `${run} plan, approval) values ($1, 'pg.vacuum-full', 'pg', 'heavy', 'core', 'plan', 'awaiting_approval', ${some}, '["step"]', '{ "digest": 7, "by": { "many": ["a", "b"] } }')`,
    [waiting, 'pg.vacuum-full'],
  ],
  [
    'a word in the history of a run',
    `insert into history (run, event, detail) values ($1, 'teleported', '[1, { "to": "mars" }]')`,
    [ended],
  ],
  ['a line of a level', `insert into run_logs (run, n, at, level, line) values ($1, 1, now(), 'whisper', 'it is dark')`, [ended]],
  [
    'a pause',
    `insert into pauses (id, scope, name, until, actor) values ($1, 'task', 'mysql.dump', now() + interval '1 hour', 'newer')`,
    [uuidv7()],
  ],
  [
    'an answered command',
    `insert into commands (id, verb, body, actor, answered_at, answer) values ($1, 'conjure', '[1]', 'newer', now(), '"yes"')`,
    [uuidv7()],
  ],
  ['an audit', `insert into audit (actor, action, subject, detail) values ('newer', 'conjure', 'a rabbit', '[1]')`, []],
  [
    'a service',
    `insert into services (name, app, version, catalog_hash, config_hash, ready, reasons, detail) values ('mysql-maintainer@other:1', 'mysql-maintainer', '9.0.0', 'beef', 'beef', false, '["the moon; wait"]', '{ "lanes": { "gentle": 2 }, "findings": [{ "target": "books", "level": "fatal", "what": "on fire" }], "excess": ["wings"], "redisRights": { "user": "x", "excess": ["y"], "more": 1 } }')`,
    [],
  ],
  ['a lease', `insert into leases (name, holder, until) values ('the moon', 'mysql-maintainer@other:1', now() + interval '1 hour')`, []],
  [
    'a reading of an unknown probe',
    `insert into probes (target, probe, state, at, since, result) values ('books', 'mysql.health', 'ok', now(), now(), '[1, "two"]')`,
    [],
  ],
  [
    'a known probe with another reading',
    `insert into probes (target, probe, state, at, since, result) values ('books', 'pg.health', 'ok', now(), now(), '"well"')`,
    [],
  ],
  [
    'an event',
    `insert into outbox (id, event, ce) values ($1, 'dump_teleported', $2)`,
    [
      event,
      JSON.stringify({
        specversion: '1.0',
        id: event,
        source: '/newer',
        type: 'io.axiom.dbops.mysql.dump_teleported.v2',
        time: new Date().toISOString(),
        subject: 'mysql/books',
        datacontenttype: 'application/json',
        operation: 'mysql.dump',
        environment: 'test',
        severity: 'fatal',
        data: [1],
      }),
    ],
  ],
  [
    'an alert',
    `insert into alerts (fingerprint, name, environment, engine, target, operation, episodes) values ('moon', 'moon_full', 'test', 'mysql', 'books', 'mysql.dump', 1)`,
    [],
  ],
  [
    'its episode',
    `insert into episodes (id, fingerprint, n, state, severity, since, last_at, event, look_at) values ($1, 'moon', 1, 'firing', 'fatal', now(), now(), '{ "type": "io.axiom.dbops.mysql.moon_full.v9", "data": 7 }', now() + interval '3 s')`,
    [episode],
  ],
  [
    'a notification for a channel',
    `insert into deliveries (key, episode, channel, state, nth, status, created_at, at, next_at, payload) values ('moon:pigeon:firing:0', $1, 'pigeon', 'firing', 0, 'pending', now(), now(), now(), '{}')`,
    [episode],
  ],
  ['a decision', `insert into decisions (at, fingerprint, reason) values (now(), 'moon', 'the stars say so')`, []],
  [
    'a finding',
    `insert into findings (id, target, source, key, level, what, evidence, state) values ($1, 'books', 'mysql.health', 'k', 'fatal', 'on fire', '[[1]]', 'open')`,
    [finding],
  ],
  [
    'a dead letter',
    `insert into dead_letters (id, reader, entry, reason, ce) values ($1, 'teleporter', '1-1', 'lost its way', '{')`,
    [letter],
  ],
  [
    'a backup',
    `insert into artifacts (id, run, fence, environment, engine, target, kind, name, operation, store, place, location, bytes, files, created_at, manifest, verified_at, verdict) values ($1, $2, 7000001, 'test', 'mysql', 'books', 'hologram', 'all', 'mysql.dump:all', 'cloud', 'books/1', 'holo://books/1', 7, 1, now(), '{ "formatVersion": 9, "files": "many" }', now(), 'perhaps')`,
    [artifact, ended],
  ],
  [
    'a schedule',
    `insert into schedules (name, target, task, spec, spec_hash) values ('newer', 'books', 'mysql.dump', '{ "moon": "full" }', 'beef')`,
    [],
  ],
]

beforeAll(async () => {
  core = await freshDatabase()
  line = await startLine(
    `
environment: test
targets: { core: { engine: pg, url: "\${CORE_URL}" } }
schedules: { often: { task: pg.analyze, target: core, cron: "*/2 * * * * *", params: { tables: [public.t] } } }
alerts: { channels: { desk: { type: console } }, routes: [{ match: {}, to: [desk] }] }
`,
    { CORE_URL: core.url },
  )
  dbops = onTheLine(line)
  for (const app of apps) await line.start(`apps/${app}/src/main.ts`)
  // After the start, as while a rolling update is under way: a configuration that is applied takes the schedules that it does not name away.
  for (const [what, sql, values] of rows)
    await line.ledger.query(sql, values).catch((error: Error) => {
      throw new Error(`${what}: ${error.message}`)
    })
}, 60_000)
afterAll(async () => {
  await line?.close()
  await core?.drop()
})

test('the services go on beside them, and leave what is not theirs as it is', { timeout: 60_000 }, async () => {
  const { rows: before } = await line.ledger.query<{ n: number }>(`select count(*)::int as n from runs where schedule = 'often'`)
  await until(
    'further slots have become runs that ended',
    async () =>
      (await line.ledger.query<{ n: number }>(`select count(*)::int as n from runs where schedule = 'often' and finished_at is not null`))
        .rows[0]!.n >
      before[0]!.n + 3,
    { within: 30_000 },
  )
  await until(
    'the relay has looked at its alerts',
    async () =>
      (
        await line.ledger.query(
          "select from episodes where id = $1 and look_at is distinct from null and look_at < now() - interval '1 s'",
          [episode],
        )
      ).rowCount === 0,
  )
  const services = (await listServices(line.ledger, 5_000)).filter(({ app }) => apps.includes(app))
  const { rows: runs } = await line.ledger.query('select id, state from runs where id = any ($1) order by id', [
    [queued, parked, ended, known],
  ])
  const { rows: told } = await line.ledger.query('select published_at is not null as told from outbox where id = $1', [event])
  expect([
    services.map(({ app, ready, reasons }) => ({ app, ready, reasons })).toSorted((a, b) => a.app.localeCompare(b.app)),
    runs,
    told,
  ]).toEqual([
    apps.toSorted().map(app => ({ app, ready: true, reasons: [] })),
    [
      { id: queued, state: 'queued' },
      { id: parked, state: 'parked' },
      { id: ended, state: 'failed' },
      { id: known, state: 'succeeded' },
    ],
    [{ told: true }],
  ])
})

test.each([
  [['status'], /books/],
  [['targets'], /books/],
  [['targets', 'check'], /on fire/],
  [['doctor'], /on fire/],
  [['workers'], /mysql-maintainer/],
  [['runs'], /mysql\.dump/],
  [['runs', 'show', queued!], /gentle/],
  [['runs', 'show', parked!], /mysql\.dump/],
  [['runs', 'show', ended!], /moon is full[^]*teleported/],
  [['runs', 'show', known!], /all of them/],
  [['runs', 'show', waiting!], /vacuum-full/],
  [['logs', ended!], /it is dark/],
  [['schedules'], /newer/],
  [['events'], /dump_teleported/],
  [['alerts'], /moon_full/],
  [['findings'], /on fire/],
  [['findings', 'show', finding!], /on fire/],
  [['probes'], /mysql\.health/],
  [['probes', 'mysql.health'], /two/],
  [['probes', 'pg.health'], /well/],
  [['backups'], /books/],
  [['backups', 'show', artifact!], /hologram/],
  [['dlq'], /teleporter/],
  [['dlq', 'show', letter!], /lost its way/],
  [['locks'], /./],
  [['ledger', 'status'], /runs/],
  [['top'], /./],
])('dbops %j shows what it understands', async (words, shown) => {
  const [text, json] = [await dbops(...words), await dbops(...words, '--json')]
  const said = text.stdout + text.stderr
  // 1: doctor and checks tell of trouble; 2 where a task is asked for that is not known. Never the trace of an error that nobody thought of.
  expect([said, said.match(/\n +at .*/)?.[0], [0, 1, 2].includes(text.code!), json.code]).toEqual([
    expect.stringMatching(shown),
    undefined,
    true,
    text.code,
  ])
  expect(said).not.toMatch(/undefined|\[object Object\]|NaN|TypeError|is not a function|Cannot read/)
})

test('what is asked of them is refused with a reason, or done', async () => {
  const retried = await dbops('retry', ended!, '--yes')
  const approved = await dbops('approve', waiting!, '--yes')
  const replayed = await dbops('dlq', 'replay', letter!, '--yes')
  const verified = await dbops('backups', 'verify', artifact!, '--yes')
  const cancelled = await dbops('cancel', queued!, '--yes')
  for (const { code, stderr, stdout } of [retried, approved, replayed, verified]) {
    expect(stderr).toMatch(/^dbops: .+/)
    expect(stderr + stdout).not.toMatch(/undefined|\[object Object\]|TypeError|is not a function|Cannot read|\n +at /)
    expect(code).not.toBe(0)
  }
  expect([
    cancelled.code,
    (await line.ledger.query<{ state: string }>('select state from runs where id = $1', [queued])).rows[0]!.state,
  ]).toEqual([0, 'cancelled'])
})
