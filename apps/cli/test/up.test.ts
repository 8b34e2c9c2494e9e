// `up` and `down` with real servers and services: readiness, one per home, what is started again, and that nothing is left however it ends.
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { startRedis } from '@dbops/servers/redis'
import { until } from '@dbops/testing/until'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { UpFile } from '../src/home.ts'
import { dbops, type Going, leftOf, main, onTerminal, processesOf, start, temporaryHome } from './a-command.ts'

const home = temporaryHome()
const env = { DBOPS_HOME: home }
let up: Going

beforeAll(() => {
  up = start(['up', '--no-sample'], { env })
})

afterAll(async () => {
  if (processesOf(home).includes(up.pid)) {
    up.process.kill('SIGTERM')
    await up.ended
  }
  rmSync(dirname(home), { recursive: true, force: true })
})

test('the environment is the first line, and all four services become ready', async () => {
  await up.says(/all services ready in .*s\n/)
  expect([up.stdout().split('\n')[0], upFile().services.map(({ app }) => app)]).toEqual([
    expect.stringMatching(/^environment: dev {2}no configuration, kept in /),
    ['scheduler', 'pg-maintainer', 'redis-inspector', 'alert-relay'],
  ])
})

test('what other terminals read of it is for its user alone', () => {
  expect([statSync(join(home, 'up.json')).mode & 0o777, upFile().pid]).toEqual([0o600, up.pid])
})

test('there are two people: commands act as the operator, and --as chooses', async () => {
  await up.says(/all services ready/)
  const actorOf = async (...words: string[]) => {
    const { stdout, stderr } = await dbops([...words, '--json'], { env })
    return stdout ? (JSON.parse(stdout) as { actor?: string }).actor : (JSON.parse(stderr) as { error: object }).error
  }
  const pause = ['pause', '--all', '--until', '1h']
  const actors = [await actorOf(...pause), await actorOf(...pause, '--as', 'approver'), await actorOf(...pause, '--as', 'aprover')]
  await dbops(['resume', '--all'], { env })
  expect(actors).toEqual([
    'operator',
    'approver',
    {
      code: 'unknown_person',
      message: 'no login of "aprover" is known here',
      hint: 'did you mean "approver"?; another is named by DBOPS_LEDGER_URL_APROVER',
      exitCode: 2,
    },
  ])
})

test('each page that is told answers that its service is ready', async () => {
  await up.says(/Ctrl-C stops everything/) // the line after the pages
  const pages = [...up.stdout().matchAll(/http:\S+\/health\/ready/g)].map(([page]) => page)
  const answers = await Promise.all(pages.map(async page => (await fetch(page)).status))
  expect(answers).toEqual([200, 200, 200, 200])
})

test('a second one on the same home is refused, and named is who has it', async () => {
  const { code, stderr } = await dbops(['up', '--no-sample'], { env })
  expect([code, stderr]).toEqual([
    2,
    `dbops: already running, pid ${up.pid}, on ${home}\nhint: stop it: ./dbops down; or use another home: DBOPS_HOME=/path ./dbops up\n`,
  ])
})

test('a service that is killed is started again, and it is said', async () => {
  const before = pidOf('scheduler')
  process.kill(before, 'SIGKILL')
  await up.says(/scheduler +ended \(SIGKILL\); started again in 500ms[\s\S]*scheduler +ready again/)
  expect(pidOf('scheduler')).not.toBe(before)
})

test("the ledger's server that is killed is started again on its port", async () => {
  const before = upFile().ledgerUrl
  process.kill(serverOf('ledger'), 'SIGKILL')
  await up.says(/ledger +PostgreSQL ended \(SIGKILL\); started again[\s\S]*PostgreSQL is there again/)
  expect(upFile().ledgerUrl).toBe(before)
})

test('Ctrl-C stops everything within 15 s and leaves no process', async () => {
  const begun = performance.now()
  up.process.kill('SIGINT')
  const { code, stdout } = await up.ended
  expect([code, performance.now() - begun < 15_000, await leftOf(home), stdout.trimEnd().split('\n').at(-1)]).toEqual([
    0,
    true,
    [],
    expect.stringMatching(/everything has stopped$/),
  ])
})

test('SIGKILL leaves no process either, and the next one starts on the same data', async () => {
  const ledger = readFileSync(join(home, 'ledger.password'), 'utf8')
  up = start(['up', '--no-sample'], { env })
  await up.says(/all services ready/)
  up.process.kill('SIGKILL')
  await up.ended
  const left = await leftOf(home, 15_000)
  up = start(['up', '--no-sample'], { env })
  await up.says(/all services ready/)
  expect([left, upFile().ledgerUrl.includes(ledger)]).toEqual([[], true])
})

test('down stops it from another terminal and waits for its end', async () => {
  const { code, stdout } = await dbops(['down'], { env })
  expect([code, stdout, await leftOf(home)]).toEqual([0, `environment: dev\nstopped (pid ${up.pid}, ${home})\n`, []])
})

test('a reader that goes away, as head does, stops it in order', async () => {
  up = start(['up', '--no-sample'], { env })
  await up.says(/starting scheduler/)
  up.process.stdout?.destroy()
  const [code] = (await once(up.process, 'exit')) as [number]
  expect([code, await leftOf(home)]).toEqual([0, []])
})

test('Ctrl-C while the servers are still starting leaves no process', async () => {
  up = start(['up', '--no-sample'], { env })
  await up.says(/ledger +PostgreSQL on/)
  up.process.kill('SIGINT')
  const { code } = await up.ended
  expect([code, await leftOf(home)]).toEqual([0, []])
})

test('Ctrl-C again kills at once what does not stop, and leaves no process', async () => {
  up = start(['up', '--no-sample'], { env })
  await up.says(/all services ready/)
  // A process that is stopped cannot end by itself.
  process.kill(pidOf('scheduler'), 'SIGSTOP')
  const begun = performance.now()
  up.process.kill('SIGINT')
  await up.says(/stopping everything in order/)
  up.process.kill('SIGINT')
  await up.ended
  expect([performance.now() - begun < 8_000, await leftOf(home)]).toEqual([true, []])
})

test('an operations Redis that would evict is refused with the reason and the mend', async () => {
  const { code, stderr } = await dbops(['up', '--no-sample'], { env: { ...env, DBOPS_REDIS_URL: inject('platformRedisUrl') } })
  expect([code, stderr, await leftOf(home)]).toEqual([
    2,
    'dbops: the operations Redis has maxmemory-policy allkeys-lru: under memory pressure it would delete queued work and events without a word\n' +
      'hint: set maxmemory-policy noeviction, or use a Redis of its own\n',
    [],
  ])
})

test('a given server is used as it is and goes on when we stop', async () => {
  const redis = await startRedis({ settings: { maxmemoryPolicy: 'noeviction' } })
  try {
    up = start(['up', '--no-sample'], { env: { ...env, DBOPS_REDIS_URL: redis.url } })
    await up.says(/all services ready/)
    const { redisUrl } = upFile()
    await dbops(['down'], { env })
    expect([redisUrl, existsSync(`/proc/${redis.pid}`)]).toEqual([redis.url, true])
  } finally {
    await redis.stop()
  }
})

test('on a terminal it is one page, which is gone when everything has stopped; its lines stand in a file', async () => {
  const onPage = onTerminal(`${process.execPath} ${main} up --no-sample`, env)
  await until('the page is there', () => onPage.text().includes('4 services ready'), { within: 60_000 })
  onPage.interrupt()
  const code = await onPage.ended
  const [page, after] = onPage.text().split('\u001b[?1049l')
  expect([code, page!.includes('STARTING'), after, readFileSync(join(home, 'logs/up.log'), 'utf8'), await leftOf(home)]).toEqual([
    0,
    true,
    expect.stringMatching(/^environment: dev [^]* everything has stopped[^\n]*\n$/),
    expect.stringMatching(/all services ready in /),
    [],
  ])
})

test('--log prints lines on a terminal too', async () => {
  const lines = onTerminal(`${process.execPath} ${main} up --no-sample --log`, env)
  await until('the first service starts', () => lines.text().includes('starting scheduler'), { within: 60_000 })
  lines.interrupt()
  expect([await lines.ended, lines.text().includes('\u001b[?1049h')]).toEqual([0, false])
})

test('a ledger that cannot be reached ends with 3', async () => {
  const { code, stderr } = await dbops(['up', '--no-sample'], { env: { ...env, DBOPS_LEDGER_URL: 'postgres://a:b@127.0.0.1:1/c' } })
  expect([code, stderr]).toEqual([3, expect.stringMatching(/^dbops: PostgreSQL at 127\.0\.0\.1:1 does not answer/)])
})

test('a configuration that would disable most schedules ends up with 2, the reason and the way on', async () => {
  up = start(['up', '--no-sample', '--config', plan(['one', 'two'])], { env })
  await up.says(/all services ready/)
  up.process.kill('SIGTERM')
  await up.ended
  const { code, stderr } = await dbops(['up', '--no-sample', '--config', plan([])], { env })
  expect([code, stderr, await leftOf(home)]).toEqual([
    2,
    'dbops: scheduler: the configuration would disable 2 of 2 schedules\n' +
      'hint: is it the right file, and the right ledger? If that is meant, start the scheduler once with --allow-mass-disable: ./dbops up --allow-mass-disable\n',
    [],
  ])
})

test('--allow-mass-disable lets it', async () => {
  up = start(['up', '--no-sample', '--allow-mass-disable', '--config', plan([])], { env })
  await up.says(/all services ready/)
  const { stdout } = await dbops(['schedules', '--json'], { env })
  up.process.kill('SIGTERM')
  await up.ended
  const left = stdout.trimEnd().split('\n')
  expect(left.map(line => (JSON.parse(line) as { enabled: boolean }).enabled)).toEqual([false, false])
})

test('a home of another environment is refused, and nothing is started', async () => {
  const { code, stderr } = await dbops(['up', '--no-sample', '--config', plan([], 'stage')], { env })
  expect([code, stderr, await leftOf(home)]).toEqual([
    2,
    expect.stringMatching(
      /^dbops: \S+ holds the data of the environment dev; this configuration is of stage\nhint: .*DBOPS_HOME=.*down --purge\n$/,
    ),
    [],
  ])
})

test('purging asks, and without a terminal wants --yes', async () => {
  const { code, stderr } = await dbops(['down', '--purge'], { env })
  expect([code, existsSync(join(home, 'ledger')), stderr]).toEqual([
    2,
    true,
    `dbops: not done without an answer: Remove ${home} with the ledger, the sample, the logs and 0 backups (environment dev)\nhint: say --yes\n`,
  ])
})

test('purged, the home is gone', async () => {
  const { code } = await dbops(['down', '--purge', '--yes'], { env })
  expect([code, existsSync(home)]).toEqual([0, false])
})

/** A configuration with schedules of these names on a target that need not be there. */
function plan(schedules: string[], environment = 'dev'): string {
  const file = join(dirname(home), 'plan.yaml')
  const lines = schedules.map(name => `  ${name}: { task: pg.vacuum, target: far, cron: "0 3 1 1 *", params: { tables: [a.b] } }`)
  const target = 'targets:\n  far: { engine: pg, url: "postgres://a:b@127.0.0.1:1/c" }\n'
  writeFileSync(file, `environment: ${environment}\n${target}${lines.length ? `schedules:\n${lines.join('\n')}\n` : ''}`)
  return file
}

const upFile = () => JSON.parse(readFileSync(join(home, 'up.json'), 'utf8')) as UpFile
const pidOf = (app: string) => upFile().services.find(service => service.app === app)!.pid
const serverOf = (folder: string) =>
  (JSON.parse(readFileSync(join(home, `${folder}.claim`), 'utf8')) as { server: { pid: number } }).server.pid
