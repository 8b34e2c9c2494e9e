// The main job, whole: `up --json` with the sample platform. Within three minutes of "all services ready" everything that is looked after has been done by itself,
// a slow statement is caught, a planted finding is told, and one planted fault becomes one notification and its resolution, at the console and at the webhook sink.
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Envelope } from '@dbops/contract/envelope'
import { until } from '@dbops/testing/until'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { dbops, type Going, leftOf, start, temporaryHome } from './a-command.ts'

const home = temporaryHome()
const env = { DBOPS_HOME: home }
let up: Going
let readyAt = 0

beforeAll(async () => {
  up = start(['up', '--json'], { env })
  await until('all services are ready', () => /all services ready/.test(up.stderr()), { within: 110_000 })
  readyAt = performance.now()
})

afterAll(async () => {
  up.process.kill('SIGTERM')
  await up.ended
  await dbops(['down', '--purge', '--yes'], { env })
  rmSync(dirname(home), { recursive: true, force: true })
})

test('purge, vacuum, analyze, dump, restore check and a refresh of the views succeed by themselves, and the planted fault is told once and resolved, within three minutes', async () => {
  const wanted: [event: string, operation: RegExp][] = [
    ['outbox_cleanup_completed', /^pg\.purge:outbox-published$/],
    ['vacuum_completed', /^pg\.vacuum:/],
    ['analyze_completed', /^pg\.analyze:/],
    ['backup_completed', /^pg\.dump:metadata$/],
    ['backup_verified', /^pg\.restore-check:metadata$/],
    ['mv_refresh_completed', /^pg\.refresh-views:vision$/],
    ['db_query_slow', /^pg\.slow-statements/],
    ['finding_opened', /^pg\.pools/],
    ['redis_stream_data_loss', /^redis\.streams:lost axiom:watches vision-watch$/],
    ['run_succeeded', /^redis\.stream-check$/],
    ['run_succeeded', /^redis\.eviction-check$/],
    ['run_succeeded', /^redis\.memory-review$/],
    ['run_succeeded', /^redis\.slowlog-review$/],
    ['run_succeeded', /^redis\.key-review$/],
    ['finding_opened', /^redis\.key-review:ttl sessions$/],
    ['redis_eviction_risk', /^redis\.eviction-check:streams$/],
  ]
  for (const [event, operation] of wanted) await until(`${event} is told`, () => heard(event, operation)[0], { within: 175_000 })
  await until('the fault is resolved', () => count(/alert desk +Resolved: backup_failed/g), { within: 115_000 })
  await until('the sink has heard it', () => count(/webhook sink +got backup_failed resolved/g))
  expect({
    within: performance.now() - readyAt < 180_000,
    firing: [count(/alert desk +backup_failed \(critical\): pg\.dump:offsite/g), count(/webhook sink +got backup_failed firing/g)],
    resolved: [count(/alert desk +Resolved/g), count(/webhook sink +got backup_failed resolved/g)],
    unverified: count(/does not verify/g),
  }).toEqual({ within: true, firing: [1, 1], resolved: [1, 1], unverified: 0 })
}, 200_000)

test('nothing but what was planted has gone wrong', () => {
  const loss = heard('redis_stream_data_loss', /./)
  expect(loss.map(({ data }) => data['what'])).toEqual(['18 entries of axiom:watches were trimmed before vision-watch had read them'])
  const bad = events().filter(
    ({ severity, type }) => (severity === 'error' || severity === 'critical') && !/backup_failed|redis_stream_data_loss/.test(type),
  )
  expect(bad.map(({ type, operation, data }) => `${type} ${operation} ${JSON.stringify(data)}`)).toEqual([])
})

test('the purge deleted tens of thousands of rows, and the vacuum took away what they left', () => {
  const purge = heard('outbox_cleanup_completed', /outbox-published/)[0]!.data['result'] as { deleted: number; left: number }
  const vacuums = heard('vacuum_completed', /./).map(
    ({ data }) => (data['result'] as { tables: { deadBefore: number; deadAfter: number }[] }).tables[0]!,
  )
  const largest = vacuums.toSorted((a, b) => b.deadBefore - a.deadBefore)[0]!
  // The traffic writes on: a row or two may have died meanwhile.
  expect([purge.deleted > 10_000, purge.left, largest.deadBefore > 10_000, largest.deadAfter < 1_000]).toEqual([true, 0, true, true])
})

test('the caught statement comes without its values', () => {
  const { query, duration_ms: ms } = heard('db_query_slow', /^pg\.slow-statements/)[0]!.data as { query: string; duration_ms: number }
  expect([query, ms >= 1_000]).toEqual([expect.stringMatching(/^SELECT c\.org, .* pg_sleep\(\$1\)/), true])
})

test('the commands for people show the same: findings, readings, targets, backups', async () => {
  const [findings, probes, targets, locks, backups] = await Promise.all(
    [['findings'], ['probes', 'pg.pools'], ['targets', 'check'], ['locks'], ['backups']].map(words => dbops(words, { env })),
  )
  expect([findings!.stdout, probes!.stdout, [targets!.code, targets!.stdout], locks!.stdout, backups!.stdout]).toEqual([
    expect.stringMatching(/warning +core +pg\.pools +open .* the pools may open 110 connections/),
    expect.stringMatching(/pg\.pools of core +ok since/),
    [0, expect.stringMatching(/target core +ok +PostgreSQL 1\d/)],
    expect.stringMatching(/^core: /m),
    expect.stringMatching(/dump metadata .* pass \d+[sm] ago/),
  ])
})

test('every service and every role has what it needs, and nothing in excess', async () => {
  const [workers, doctor] = await Promise.all([['workers', '--json'], ['doctor']].map(words => dbops(words, { env })))
  const rights = workers!.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { app: string; excess: string[]; redisRights: unknown })
    .map(({ app, excess, redisRights }) => ({ app, excess, redisRights }))
  expect(rights.toSorted((a, b) => a.app.localeCompare(b.app))).toEqual(
    ['alert-relay', 'pg-maintainer', 'redis-inspector', 'scheduler'].map(app => ({
      app,
      excess: [],
      redisRights: { user: app, excess: [] },
    })),
  )
  expect(doctor!.stdout).toMatch(/target cache +ok +Redis 7.*, as dbops/)
  expect(doctor!.stdout).not.toMatch(/more than it needs|what no inspection does|superuser/)
})

test('standard output is the events alone, each once', () => {
  const ids = events().map(({ id }) => id)
  expect([ids.length > 3, new Set(ids).size, events().every(({ specversion }) => specversion === '1.0')]).toEqual([true, ids.length, true])
})

test('Ctrl-C stops the sample platform as well, within 15 s', async () => {
  const begun = performance.now()
  up.process.kill('SIGINT')
  const { code } = await up.ended
  expect([code, performance.now() - begun < 15_000, await leftOf(home)]).toEqual([0, true, []])
})

const events = () =>
  up
    .stdout()
    .split('\n')
    .slice(0, -1)
    .filter(Boolean)
    .map(line => JSON.parse(line) as Envelope)
const heard = (event: string, operation: RegExp) =>
  events().filter(ce => ce.type === `io.axiom.dbops.${event}.v1` && operation.test(ce.operation))
const count = (pattern: RegExp) => [...up.stderr().matchAll(pattern)].length
