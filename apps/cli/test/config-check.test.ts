// `config check` and `config render`: right, wrong, what a service could open where it runs, and how it is understood.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { dbops } from './a-command.ts'

const place = mkdtempSync(join(tmpdir(), 'cli-config-'))
afterAll(() => rmSync(place, { recursive: true }))

const right = `
environment: prod
zone: Asia/Seoul
targets: { core: { engine: pg, url: "\${CORE_URL}" } }
schedules:
  vacuum: { task: pg.vacuum, target: core, cron: "30 2 * * *", params: { tables: [core.event_outbox] } }
  off: { task: pg.vacuum, target: core, cron: "0 0 * * *", params: { tables: [core.event_outbox] }, enabled: false }
`

test('a right one says its environment first, and when its schedules are due, in their zone', async () => {
  const { code, stdout } = await dbops(['config', 'check', file('right.yaml', right)])
  expect([code, stdout.split('\n')]).toEqual([
    0,
    [
      expect.stringMatching(/^environment: prod {2}.*right\.yaml is right$/),
      '',
      'SCHEDULE  TASK       ZONE        DUE NEXT',
      expect.stringMatching(/^vacuum {4}pg\.vacuum {2}Asia\/Seoul( {2}\d\d-\d\d 02:30:00){5}$/),
      '',
    ],
  ])
})

test('a schedule that runs for an event says which, and what it waits for after the first', async () => {
  const text = right.replace('cron: "30 2 * * *"', 'event: data_registered, debounce: 30s')
  const { stdout } = await dbops(['config', 'check', file('event.yaml', text)])
  expect(stdout).toContain('when data_registered comes, 30s after the first\n')
})

test('in JSON it is one object, with five slots of each schedule that is on', async () => {
  const { stdout } = await dbops(['config', 'check', file('right.yaml', right), '--json'])
  const at = expect.stringMatching(/^\d{4}-\d\d-\d\dT17:30:00\.000Z$/) as string
  expect(JSON.parse(stdout)).toEqual({
    ok: true,
    errors: [],
    next: [{ schedule: 'vacuum', slots: [at, at, at, at, at] }],
  })
})

test('rendered, it has its defaults, where its secrets come from, and none of them', async () => {
  const secrets = `
ledger: { url: "postgres://dbops:canary-1@db:5432/ledger?sslmode=require" }
redis: { url: "redis://:\${REDIS_PASSWORD:-canary-3}@cache:6379" }
commands: { keys: { crm: canary-4-canary-4-canary-4-canary-4, erp: { env: ERP_KEY } } }
alerts: { channels: { hook: { type: webhook, url: "https://chat.example/canary-5/\${TOKEN}", secret: { file: /run/secret } } }, routes: [] }
`
  const { code, stdout } = await dbops(['config', 'render', file('secret.yaml', right + secrets)])
  expect([code, stdout.match(/canary-\d/g), stdout]).toEqual([0, null, expect.stringContaining('misfire: latest')])
  for (const kept of [
    'postgres://dbops:***@db:5432/ledger?sslmode=require',
    'redis://:${REDIS_PASSWORD:-***}@cache:6379',
    'crm: "***"',
    'env: ERP_KEY',
    '***${TOKEN}',
    'file: /run/secret',
    '${CORE_URL}',
  ])
    expect(stdout).toContain(kept)
})

test('of a service its secrets are rendered: where each comes from, and whether it can be opened here', async () => {
  const { code, stdout } = await dbops(['config', 'render', file('right.yaml', right), '--app', 'pg-maintainer'], {
    env: { DBOPS_LEDGER_URL: 'postgres://canary:canary@h/l' },
  })
  expect([code, stdout.split('\n').slice(1), stdout.includes('canary')]).toEqual([
    0,
    [
      'SECRET            FROM                       HERE',
      'ledger.url        variable DBOPS_LEDGER_URL  can be opened',
      expect.stringMatching(/^redis\.url .* is missing; /),
      'targets.core.url  ${CORE_URL}                the environment variable CORE_URL is not set; set CORE_URL where this service runs',
      '',
    ],
    false,
  ])
})

test('what is rendered says the same as the file', async () => {
  const { stdout } = await dbops(['config', 'render', file('right.yaml', right)])
  const again = await dbops(['config', 'render', file('again.yaml', stdout)])
  expect([again.code, again.stdout.split('\n').slice(1)]).toEqual([0, stdout.split('\n').slice(1)])
})

test.each([
  ['a tab', 'targets:\n\tcore: {}\n', 2, 'core'],
  ['an unknown key', 'shedules: {}\n', 1, 'shedules'],
  ['a cron of four fields', right.replace('30 2 * * *', '30 2 * *'), 6, 'schedules.vacuum.cron'],
  ['an unknown task', right.replaceAll('pg.vacuum', 'pg.vacum'), 6, 'schedules.vacuum.task'],
])('%s is told with its line, its path and a mend, and ends with 2', async (_, text, line, path) => {
  const { code, stdout } = await dbops(['config', 'check', file('wrong.yaml', text), '--json'])
  const { ok, errors, next } = JSON.parse(stdout) as { ok: boolean; errors: { line: number; path: string; hint: string }[]; next: [] }
  expect([code, ok, errors[0]?.line, errors[0]?.path, Boolean(errors[0]?.hint), next]).toEqual([2, false, line, path, true, []])
})

test('for people every error is a line on stderr with its hint', async () => {
  const wrong = file('wrong.yaml', 'shedules: {}\nzone: Asia/Soul\n')
  const { code, stdout, stderr } = await dbops(['config', 'check', wrong])
  expect([code, stdout, stderr.split('\n')]).toEqual([
    2,
    '',
    [
      expect.stringMatching(/^dbops: .*wrong\.yaml:1 shedules: /),
      expect.stringMatching(/^hint: did you mean "schedules"\?$/),
      expect.stringMatching(/^dbops: .*wrong\.yaml:2 zone: /),
      expect.stringMatching(/^hint: did you mean "Asia\/Seoul"\?$/),
      '',
    ],
  ])
})

test('a file that is not there ends with 2', async () => {
  const { code, stderr } = await dbops(['config', 'check', join(place, 'nowhere.yaml')])
  expect([code, stderr]).toEqual([2, expect.stringContaining('nowhere.yaml')])
})

test('it passes without secrets; its owner misses them', async () => {
  const { code, stderr } = await dbops(['config', 'check', file('right.yaml', right), '--resolve', 'pg-maintainer'])
  expect([code, stderr]).toEqual([2, expect.stringMatching(/:4 targets\.core\.url: the environment variable CORE_URL is not set\nhint: /)])
})

test('a service that there is not is refused with the nearest that there is', async () => {
  const { code, stderr } = await dbops(['config', 'check', '--resolve', 'pg-maintaner'])
  expect([code, stderr]).toEqual([2, 'dbops: "pg-maintaner" is no service\nhint: did you mean "pg-maintainer"?\n'])
})

function file(name: string, text: string): string {
  writeFileSync(join(place, name), text)
  return join(place, name)
}
