// The main job, whole: `up --json` with the sample platform. Within two minutes of "all services ready" a vacuum, a dump, and one planted
// fault that becomes one notification and its resolution, at the console and at the webhook sink.
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

test('a vacuum is proven, a dump is stored, and the planted fault is told once and resolved, within two minutes', async () => {
  await until('the fault is resolved', () => count(/alert desk +Resolved: backup_failed/g), { within: 115_000 })
  await until('the outbox was vacuumed', () => events().find(({ type }) => type.includes('vacuum_completed')))
  await until('the dump is stored', () => completed('pg.dump:metadata'))
  await until('the sink has heard it', () => count(/webhook sink +got backup_failed resolved/g))
  const vacuum = events().find(({ type }) => type.includes('vacuum_completed'))!.data['result'] as { tables: { deadAfter: number }[] }
  expect({
    within: performance.now() - readyAt < 120_000,
    dead: vacuum.tables.map(({ deadAfter }) => deadAfter),
    firing: [count(/alert desk +backup_failed \(critical\): pg\.dump:offsite/g), count(/webhook sink +got backup_failed firing/g)],
    resolved: [count(/alert desk +Resolved/g), count(/webhook sink +got backup_failed resolved/g)],
    unverified: count(/does not verify/g),
  }).toEqual({ within: true, dead: [0], firing: [1, 1], resolved: [1, 1], unverified: 0 })
}, 150_000)

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
    .filter(Boolean)
    .map(line => JSON.parse(line) as Envelope)
const completed = (operation: string) => events().find(ce => ce.type.includes('backup_completed') && ce.operation === operation)
const count = (pattern: RegExp) => [...up.stderr().matchAll(pattern)].length
