// The whole line under the roles and users of deploy/: each service with the least that it needs, in the ledger and in Redis. What is taken away is told, what is too much as well.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { savePerson } from '@dbops/ledger/people'
import { listReadings } from '@dbops/ledger/probes'
import { listServices } from '@dbops/ledger/services'
import { startNeo4j } from '@dbops/servers/neo4j'
import { databaseUrl } from '@dbops/servers/postgres'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { dbops as anywhere } from './a-command.ts'

const deploy = join(import.meta.dirname, '../../../deploy')
const prefix = `r${randomBytes(3).toString('hex')}`
const apps = ['scheduler', 'pg-maintainer', 'neo4j-maintainer', 'redis-inspector', 'alert-relay'] as const
// All of them are looked for everywhere in the end.
const password = `pw${randomBytes(8).toString('hex')}`
const hook = `hook${randomBytes(16).toString('hex')}`
const key = `key${randomBytes(16).toString('hex')}`
const rowText = `row${randomBytes(8).toString('hex')}`
const processes: Process[] = []
/** Of every process that was seen since the start: ours, and the programs that they start. */
const commandLines = new Set<string>()
const looking = setInterval(() => {
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name)))
    try {
      commandLines.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
    } catch {
      // It has ended.
    }
}, 100)

let line: Line
let core: Awaited<ReturnType<typeof freshDatabase>>
let admin: Redis
let looked: Redis
let owner: Client
let graph: Awaited<ReturnType<typeof startNeo4j>>
const people = { ada: `${prefix}_ada`, ben: `${prefix}_ben` }

/** The hours in which nothing is rewritten are half a day away from now. */
const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16)

beforeAll(async () => {
  graph = await startNeo4j()
  core = await freshDatabase()
  const target = new Client(core.url)
  await target.connect()
  await target.query(`create role ${prefix}_shop_owner`)
  await target.query(`create table t as select n, '${rowText}' as body from generate_series(1, 1000) n`)
  await target.query(`create table old as select n, now() - interval '1 year' as at from generate_series(1, 1000) n`)
  await target.query('create index on old (at)')
  await target.query('create materialized view sums as select sum(n) from t')
  // Its refresh fails, and PostgreSQL says on which value.
  await target.query('create materialized view numbers as select body::int from t with no data')
  for (const name of ['table t', 'table old', 'materialized view sums', 'materialized view numbers'])
    await target.query(`alter ${name} owner to ${prefix}_shop_owner`)
  await target.end()
  psql(core.url, 'sql/target-role.sql', { role: `${prefix}_care`, owner: `${prefix}_shop_owner` })
  looked = new Redis(inject('redisUrl'))
  for (const args of usersIn('redis/platform.acl')) await looked.call('ACL', 'SETUSER', `${prefix}_care`, ...args.slice(1))
  line = await startLine(
    `
environment: test
targets:
  core: { engine: pg, url: "\${CORE_URL}" }
  cache: { engine: redis, url: "\${CACHE_URL}" }
  graph: { engine: neo4j, url: "\${GRAPH_URL}" }
stores: { main: { url: "file://$FOLDER/store", free: 1MiB }, none: { url: "file://$FOLDER/none", free: 1MiB } }
dumps:
  rows: { target: core, data: all, stores: [main] }
  nowhere: { target: core, data: all, stores: [none] }
purges: { past: { target: core, table: public.old, by: at, age: 30d, atMost: 100 } }
views: { sums: { target: core, members: [public.sums] }, numbers: { target: core, members: [public.numbers] } }
commands: { keys: { crm: "\${KEY}" } }
windows: { operating-hours: { from: "${inHours(12)}", to: "${inHours(13)}" } }
ingest: { platform: { target: cache, stream: "axiom:events", keep: [data_registered] } }
schedules:
  often: { task: pg.vacuum, target: core, cron: "*/2 * * * * *", params: { tables: [public.t] } }
  numbers: { task: pg.refresh-views, cron: "*/5 * * * * *", params: { group: numbers }, retry: { attempts: 1 } }
  nowhere: { task: pg.dump, cron: "*/5 * * * * *", params: { dump: nowhere }, retry: { attempts: 1 } }
  told: { task: pg.analyze, target: core, event: data_registered, params: { tables: [public.t] } }
alerts:
  channels:
    desk: { type: console }
    hook: { type: webhook, url: "http://127.0.0.1:1/\${HOOK}", secret: "\${HOOK}" }
  routes: [{ match: {}, to: [desk, hook] }]
`,
    {
      CORE_URL: as(core.url, `${prefix}_care`),
      CACHE_URL: as(inject('redisUrl'), `${prefix}_care`),
      GRAPH_URL: graph.url,
      HOOK: hook,
      KEY: key,
    },
  )
  mkdirSync(join(line.folder, 'store'))
  owner = new Client(line.ledgerUrl)
  await owner.connect()
  psql(line.ledgerUrl, 'sql/ledger-roles.sql', { prefix })
  for (const role of Object.values(people)) await savePerson(line.ledger, role, password)
  admin = new Redis(line.redisUrl)
  // The tests themselves go on as `default`.
  for (const args of usersIn('redis/operations.acl')) if (args[0] !== 'default') await admin.call('ACL', 'SETUSER', ...args)
  for (const app of apps) processes.push(await line.start(`apps/${app}/src/main.ts`, { env: envOf(app) }))
}, 180_000)
afterAll(async () => {
  clearInterval(looking)
  await owner?.end()
  admin?.disconnect()
  await line?.close()
  await looked?.call('ACL', 'DELUSER', `${prefix}_care`)
  looked?.disconnect()
  await core?.drop()
  await graph?.stop()
  const rest = new Client(inject('pgUrl'))
  await rest.connect()
  for (const { rolname } of (await rest.query<{ rolname: string }>(`select rolname from pg_roles where rolname like '${prefix}\\_%'`)).rows)
    await rest.query(`drop role ${rolname}`)
  await rest.end()
})

const roleOf = (app: string) => `${prefix}_${app.replaceAll('-', '_')}`
const as = (url: string, username: string) => Object.assign(new URL(url), { username, password }).href
const envOf = (app: string) => ({ DBOPS_LEDGER_URL: as(line.ledgerUrl, roleOf(app)), DBOPS_REDIS_URL: as(line.redisUrl, app) })
/** Runs a script of deploy/ as the superuser. */
function psql(url: string, script: string, variables: Record<string, string>) {
  const { hostname, port, username, password: ours, pathname } = new URL(url)
  const names = ['SCHEDULER', 'PG_MAINTAINER', 'NEO4J_MAINTAINER', 'REDIS_INSPECTOR', 'ALERT_RELAY', 'ROLE'].map(name => `${name}_PASSWORD`)
  const args = Object.entries(variables).flatMap(([name, value]) => ['-v', `${name}=${value}`])
  execFileSync('psql', ['--no-psqlrc', ...args, '-f', join(deploy, script)], {
    stdio: 'pipe',
    env: {
      ...process.env,
      ...Object.fromEntries(names.map(name => [name, password])),
      PGHOST: hostname,
      PGPORT: port,
      PGUSER: username,
      PGPASSWORD: decodeURIComponent(ours),
      PGDATABASE: pathname.slice(1),
    },
  })
}
/** The users of a file, each as the arguments of ACL SETUSER. */
const usersIn = (file: string): string[][] =>
  readFileSync(join(deploy, file), 'utf8')
    .split('\n')
    .filter(rule => rule.startsWith('user '))
    .map(rule =>
      rule
        .split(' ')
        .slice(1)
        .map(word => (word === '>CHANGE-ME' ? `>${password}` : word)),
    )
const serviceNamed = async (app: string) => (await listServices(line.ledger, 5_000)).find(service => service.app === app)

test('schedules and an event of the platform, a dump and its check, a purge, a refresh, an approved rewrite, a cancelled one, an alert and its end, readings of all engines, a pause and a lost stream go through, and Redis refused nothing', {
  timeout: 180_000,
}, async () => {
  const env = {
    ...line.env,
    ...Object.fromEntries(
      Object.entries(people).map(([name, role]) => [`DBOPS_LEDGER_URL_${name.toUpperCase()}`, as(line.ledgerUrl, role)]),
    ),
  }
  const say = (...words: string[]) => anywhere([...words, '--yes'], { env })
  const dump = await say('run', 'pg.dump', '--dump', 'rows', '--wait')
  await until('the alert was told', async () => (await owner.query(`select from dbops.deliveries where status = 'delivered'`)).rowCount, {
    within: 60_000,
  })
  mkdirSync(join(line.folder, 'none'))
  await until(
    'its end was told',
    async () => (await owner.query(`select from dbops.deliveries where status = 'delivered' and state = 'resolved'`)).rowCount,
    { within: 60_000 },
  )
  await admin.flushall()
  const platform = new Redis(inject('redisUrl'))
  await platform.xadd(
    'axiom:events',
    '*',
    'event_type',
    'data_registered',
    'event_id',
    '019a0000-0000-7000-8000-00000000abcd',
    'created_at',
    new Date().toISOString(),
    'payload',
    '{"rows":1}',
  )
  platform.disconnect()
  await until(
    'what the platform told has set off its run',
    async () => (await owner.query(`select from dbops.runs where schedule = 'told' and state = 'succeeded'`)).rowCount,
    { within: 30_000 },
  )
  const done = [
    dump,
    await say('run', 'pg.restore-check', '--dump', 'rows', '--wait'),
    await say('run', 'pg.purge', '--policy', 'past', '--wait'),
    await say('run', 'pg.refresh-views', '--group', 'sums', '--wait'),
  ]
  const asked = await say('run', 'pg.vacuum-full', '--target', 'core', '--tables', 'public.old', '--json', '--as', 'ada')
  const { id } = JSON.parse(asked.stdout) as { id: string }
  await until(
    'its plan is made',
    async () => (await owner.query('select from dbops.runs where id = $1 and plan is not null', [id])).rowCount,
  )
  done.push(await say('approve', id, '--as', 'ben'))
  await until(
    'it has been carried out',
    async () => (await owner.query(`select from dbops.runs where id = $1 and state = 'succeeded'`, [id])).rowCount,
    {
      within: 30_000,
    },
  )
  const unwanted = JSON.parse(
    (await say('run', 'pg.vacuum-full', '--target', 'core', '--tables', 'public.t', '--json', '--as', 'ada')).stdout,
  ) as {
    id: string
  }
  done.push(await say('cancel', unwanted.id), await say('pause', '--all', '--until', '1s'))
  const { rows: left } = await (async () => {
    const target = new Client(core.url)
    await target.connect()
    const answer = await target.query('select (select count(*)::int from old) as old, (select sum::int from sums) as sums')
    await target.end()
    return answer
  })()
  const readings = (await listReadings(line.ledger))
    .filter(({ state }) => state !== 'ok')
    .map(({ target, probe, error }) => [target, probe, error])
  const log = [
    ...((await admin.call('ACL', 'LOG')) as unknown[]),
    ...((await looked.call('ACL', 'LOG')) as unknown[]).filter(entry => String(entry).includes(prefix)),
  ]
  const { rows: ends } = await owner.query<{ task: string }>(`select distinct task from dbops.runs where state = 'succeeded' order by task`)
  const { rows: unready } = await owner.query('select name, reasons from dbops.services where not ready')
  expect(done.filter(({ code }) => code !== 0)).toEqual([])
  expect([left, readings, log.map(String), unready, ends.map(({ task }) => task)]).toEqual([
    [{ old: 0, sums: 500_500 }],
    [],
    [],
    [],
    ['pg.analyze', 'pg.dump', 'pg.purge', 'pg.refresh-views', 'pg.restore-check', 'pg.vacuum', 'pg.vacuum-full'],
  ])
})

test('a service under its own role has nothing in excess, one under the owner of everything is told', async () => {
  const { detail } = (await serviceNamed('scheduler'))!
  expect([detail['excess'], detail['redisRights']]).toEqual([[], { user: 'scheduler', excess: [] }])
  const other = await line.start('apps/alert-relay/src/main.ts')
  await until('it has looked', async () =>
    (await listServices(line.ledger, 5_000)).some(({ detail }) => (detail['excess'] as string[] | undefined)?.includes('superuser')),
  )
  const said = (await anywhere(['doctor', '--json'], { env: line.env })).stdout
    .split('\n')
    .filter(Boolean)
    .map(text => JSON.parse(text) as { what: string })
    .map(({ what }) => what)
  await other.stop()
  expect(said).toContain('its role in the ledger has more than it needs: superuser')
  expect(said).toContainEqual(expect.stringMatching(/^its user default in the operations Redis has more than it needs: FLUSHALL, /))
})

describe('what is taken away', () => {
  test('in the ledger makes a service not ready, with what is missing', { timeout: 60_000 }, async () => {
    await owner.query(
      `revoke update on dbops.runs from ${(await owner.query<{ name: string }>('select dbops.grant_services() as name')).rows[0]!.name}`,
    )
    const relay = await line.start('apps/alert-relay/src/main.ts', { env: envOf('alert-relay'), ready: false })
    await until('it says so', async () =>
      (await listServices(line.ledger, 5_000)).some(
        ({ name, reasons }) => name.endsWith(`:${relay.pid}`) && reasons.some(reason => /lacks update on runs; deploy\/sql/.test(reason)),
      ),
    )
    await owner.query('select dbops.grant_services()')
    expect(await relay.stop()).toBe(0)
  })

  test('in Redis makes a service not ready, with what is missing, until it is given back', { timeout: 60_000 }, async () => {
    await admin.call('ACL', 'SETUSER', 'alert-relay', '-xautoclaim')
    const relay = await line.start('apps/alert-relay/src/main.ts', { env: envOf('alert-relay'), ready: false })
    const reasons = async () => (await listServices(line.ledger, 5_000)).find(({ name }) => name.endsWith(`:${relay.pid}`))?.reasons ?? []
    await until('it says so', async () =>
      (await reasons()).some(reason =>
        /user alert-relay in the operations Redis lacks XAUTOCLAIM on dbops:events; deploy\/redis/.test(reason),
      ),
    )
    await admin.call('ACL', 'SETUSER', 'alert-relay', '+xautoclaim')
    expect(await relay.stop()).toBe(0)
    const again = await line.start('apps/alert-relay/src/main.ts', { env: envOf('alert-relay') })
    expect(await again.stop()).toBe(0)
  })

  test.each([
    ['scheduler', ['flushall']],
    ['scheduler', ['config', 'set', 'maxmemory', '1']],
    ['pg-maintainer', ['get', '{dbops}:redis-light:meta']],
    ['pg-maintainer', ['xadd', 'dbops:events', '*', 'ce', '{}']],
    ['alert-relay', ['del', '{dbops}:pg-heavy:wait']],
    ['alert-relay', ['del', 'dbops:events']],
    ['alert-relay', ['xadd', 'dbops:events', '*', 'ce', '{}']],
    ['reader', ['xadd', 'dbops:events', '*', 'ce', '{}']],
    ['sender', ['xread', 'STREAMS', 'dbops:commands', '0']],
  ])('of Redis: %s may not %j', async (user, command) => {
    expect(String(await admin.call('ACL', 'DRYRUN', user, ...command))).toMatch(/no permissions|can't run|cannot/i)
  })
})

test('a service under a role that may not change tables says who brings the ledger up to date', async () => {
  const empty = await freshDatabase()
  const url = new URL(databaseUrl(inject('pgUrl'), empty.name))
  Object.assign(url, { username: roleOf('scheduler'), password })
  const scheduler = await line.start('apps/scheduler/src/main.ts', {
    env: { ...envOf('scheduler'), DBOPS_LEDGER_URL: url.href },
    ready: false,
  })
  const code = await scheduler.ended
  await empty.drop()
  expect([code, scheduler.lines.at(-1)]).toEqual([1, expect.stringContaining('dbops ledger migrate')])
})

test('no password, no token and no row has gone anywhere where it does not belong', { timeout: 180_000 }, async () => {
  // Before a service is started that cannot reach the target, and would take the refresh.
  const failed = await until(
    'a refresh has failed on a row',
    async () =>
      (await owner.query<{ error: { message: string } }>(`select error from dbops.runs where schedule = 'numbers' and state = 'failed'`))
        .rows[0],
    { within: 60_000 },
  )
  expect(failed.error.message).toContain('invalid input syntax for type integer: "…"')
  // What goes wrong tells the most: a password that is not taken, a target that is not there, a receiver that cannot be reached.
  const wrong = [as(core.url, `${prefix}_nobody`), as('postgres://127.0.0.1:1/none', 'dbops')]
  for (const url of wrong) {
    const broken = await line.start('apps/pg-maintainer/src/main.ts', { env: { ...envOf('pg-maintainer'), CORE_URL: url }, ready: false })
    processes.push(broken)
    await until('it has said what is wrong', () => broken.lines.some(each => /does not answer|authentication|refused|ECONN/.test(each)), {
      within: 60_000,
    })
    await broken.stop()
  }
  await until(
    'the receiver was tried',
    async () => (await owner.query(`select from dbops.deliveries where channel = 'hook' and last_error is not null`)).rowCount,
    { within: 60_000 },
  )
  const places = {
    logs: processes.flatMap(({ lines }) => lines).join('\n'),
    'command lines': [...commandLines].join('\n'),
    ledger: await ledgerAsText(),
    'operations Redis': await redisAsText(),
    manifests: readdirSync(join(line.folder, 'store'), { recursive: true, encoding: 'utf8' })
      .filter(file => file.endsWith('manifest.json') || file.endsWith('globals.sql'))
      .map(file => readFileSync(join(line.folder, 'store', file), 'utf8'))
      .join('\n'),
    answers: (
      await Promise.all(
        [['status'], ['doctor'], ['runs'], ['alerts'], ['targets'], ['findings'], ['config', 'render', line.configFile]].map(words =>
          anywhere([...words, '--json'], { env: line.env }),
        ),
      )
    )
      .map(({ stdout, stderr }) => stdout + stderr)
      .join('\n'),
  }
  const search = (all: Record<string, string>) =>
    Object.entries(all).flatMap(([place, text]) =>
      [password, hook, key, rowText].filter(secret => text.includes(secret)).map(secret => `${secret} in ${place}`),
    )
  const found = search(places)
  // The search itself: each place is there, and what stands in it is found.
  const known = Object.entries({
    logs: 'run_started',
    'command lines': 'pg_dump',
    ledger: 'pg.dump:rows',
    'operations Redis': 'io.axiom.dbops',
    manifests: '"formatVersion": 1',
    answers: 'scheduler@',
  })
  const planted = search({ ...places, ledger: `${places.ledger}${hook}` })
  expect([found, planted, known.filter(([place, text]) => !places[place as keyof typeof places].includes(text))]).toEqual([
    [],
    [`${hook} in ledger`],
    [],
  ])
})

async function ledgerAsText(): Promise<string> {
  const { rows: tables } = await owner.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'dbops'::regnamespace and relkind = 'r'`,
  )
  const texts: string[] = []
  for (const { name } of tables) texts.push(JSON.stringify((await owner.query(`select t::text from dbops.${name} t`)).rows))
  return texts.join('\n')
}
async function redisAsText(): Promise<string> {
  const texts: string[] = []
  for (const key of await admin.keys('*')) {
    const type = await admin.type(key)
    const value =
      type === 'stream'
        ? await admin.xrange(key, '-', '+')
        : type === 'hash'
          ? await admin.hgetall(key)
          : type === 'string'
            ? await admin.get(key)
            : type === 'list'
              ? await admin.lrange(key, 0, -1)
              : await admin.dump(key)
    texts.push(`${key} ${JSON.stringify(value)}`)
  }
  return texts.join('\n')
}

test('ledger migrate brings an empty ledger up to date, gives the services their rights, and says what it did', async () => {
  const empty = await freshDatabase()
  const env = { ...line.env, DBOPS_LEDGER_URL: empty.url }
  const [first, second] = [await anywhere(['ledger', 'migrate', '--json'], { env }), await anywhere(['ledger', 'migrate'], { env })]
  const { applied, migrations, services } = JSON.parse(first.stdout) as { applied: string[]; migrations: number; services: string }
  const other = await anywhere(['ledger', 'migrate'], { env: { ...env, DBOPS_LEDGER_URL: as(empty.url, roleOf('scheduler')) } })
  await empty.drop()
  expect([applied.length === migrations, applied[0], services, second.stdout.split('\n')[0], other.code]).toEqual([
    true,
    '0001-runs.sql',
    `${empty.name}_services`,
    `nothing was missing: ${migrations} migrations`,
    1,
  ])
})
