// The whole line as it is deployed: schedules and commands in, a real database maintained, a signed notification out when it fails and its resolution when it is mended.
import { mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { listAlerts } from '@dbops/ledger/alerts'
import { listArtifacts } from '@dbops/ledger/artifacts'
import { ask } from '@dbops/ledger/commands'
import { pause } from '@dbops/ledger/pauses'
import { find, type Run, requestCancel } from '@dbops/ledger/runs'
import { type Sink, startSink } from '@dbops/sample/sink'
import { freshDatabase } from '@dbops/testing/database'
import { type Line, type Process, startLine } from '@dbops/testing/line'
import { until } from '@dbops/testing/until'
import { Client } from 'pg'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

let line: Line
let target: Awaited<ReturnType<typeof freshDatabase>>
let db: Client
let sink: Sink
let maintainer: Process
const secret = 'whole-line-secret'
/** Roles are of the whole server: one of this test's own. */
const reader = () => `reader_${target.name}`

beforeEach(async () => {
  target = await freshDatabase()
  db = new Client(target.url)
  db.on('error', () => undefined)
  await db.connect()
  await db.query('CREATE TABLE public.items (id int PRIMARY KEY, body text)')
  await db.query(`INSERT INTO public.items SELECT i, repeat(md5(i::text), 10) FROM generate_series(1, 20000) i`)
  await db.query('CREATE TABLE public.notes (id int PRIMARY KEY)')
  sink = await startSink({ secret })
})
afterEach(async () => {
  endStopped()
  await line.close()
  await sink?.stop()
  await db.query(`DROP OWNED BY ${reader()}`).catch(() => undefined)
  await db.query(`DROP ROLE IF EXISTS ${reader()}`)
  await db.end()
  await target.drop()
})

describe('a dump', () => {
  beforeEach(() => begin())

  test('is stored with its manifest, listed, and told once', async () => {
    const run = await dump('items')
    const [backup] = await listArtifacts(line.ledger, { limit: 9 })
    expect([run.state, backup?.run, backup?.manifest['tables'], await line.events(run.id), manifests()]).toMatchObject([
      'succeeded',
      run.id,
      [{ table: 'public.items', rows: 20_000 }],
      ['backup_completed'],
      [`${backup!.place}/manifest.json`],
    ])
  })

  test('into a store that is gone: one notification with the cause and the last good backup; again, none; another dump resolves nothing, the next success of this one does', async () => {
    const good = await dump('items')
    renameSync(join(line.folder, 'store'), join(line.folder, 'elsewhere'))
    const bad = await dump('items')
    const [first] = await notified(1)
    const again = await dump('items')
    const other = await dump('notes') // in a store of its own
    renameSync(join(line.folder, 'elsewhere'), join(line.folder, 'store'))
    const between = sink.received.length
    const mended = await dump('items')
    const [, second] = await notified(2)
    const [backup] = (await listArtifacts(line.ledger, { limit: 9 })).filter(a => a.run === good.id)
    expect([bad.state, again.state, other.state, mended.state, between]).toEqual(['failed', 'failed', 'succeeded', 'succeeded', 1])
    expect([first, second].map(each => [each!.verified, each!.body.alert.name, each!.body.alert.state, each!.body.operation])).toEqual([
      [true, 'backup_failed', 'firing', 'pg.dump:items'],
      [true, 'backup_failed', 'resolved', 'pg.dump:items'],
    ])
    expect(JSON.stringify(first!.body)).toContain('store_unavailable')
    expect(JSON.stringify(first!.body)).toContain(backup!.id)
  })

  test('into a store without room: refused before a byte is written, with what is free and what is needed', async () => {
    const run = await dump('large')
    const [told] = await notified(1)
    expect([run.state, run.error?.code, told!.body.alert.name, left()]).toEqual(['refused', 'store_full', 'backup_failed', []])
  })

  test('of a table that the role may no longer read: refused or failed with that cause, nothing half-written is listed or stays', async () => {
    await db.query(`CREATE ROLE ${reader()} LOGIN PASSWORD 'x'`)
    await db.query(`GRANT SELECT ON public.notes TO ${reader()}`)
    await useRole(reader())
    const run = await dump('items')
    const [told] = await notified(1)
    expect([['failed', 'refused'].includes(run.state), run.error?.message, await listArtifacts(line.ledger, { limit: 9 })]).toEqual([
      true,
      expect.stringMatching(/items|permission/i),
      [],
    ])
    expect(told!.body.alert.name).toBe('backup_failed')
  })

  test('of a table that is not there: refused by its name, with one notification', async () => {
    await db.query('DROP TABLE public.items')
    const run = await dump('items')
    const [told] = await notified(1)
    expect([run.state, run.error?.message, told!.body.alert.state]).toEqual(['refused', expect.stringContaining('public.items'), 'firing'])
  })

  test('whose sessions the server ends midway: failed with that cause, and what it had written is swept', async () => {
    const id = await hangingDump()
    const ending = setInterval(
      () =>
        void db
          .query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%:pg.dump' AND backend_start < now() - interval '250 ms'`,
          )
          .catch(() => undefined),
      20,
    )
    process.kill(stopped[0]!, 'SIGCONT')
    const run = await hurried(id).finally(() => clearInterval(ending))
    const [told] = await notified(1)
    expect([run.state, run.error, told!.body.alert.name, left()]).toEqual([
      'failed',
      expect.objectContaining({ message: expect.stringMatching(/terminat|connection|session/i) }),
      'backup_failed',
      [],
    ])
  })

  test('that is cancelled: its processes and sessions are gone within 15 s', async () => {
    const id = await hangingDump()
    const began = performance.now()
    await requestCancel(line.ledger, id, 'ada')
    const run = await ended(id)
    expect([run.state, await sessions('pg.dump'), isAlive(stopped[0]!), left(), performance.now() - began < 15_000]).toEqual([
      'cancelled',
      [],
      false,
      [],
      true,
    ])
  })

  test('SIGKILL of the maintainer in the middle of it: in other hands, no session of the dead attempt is left, one manifest', async () => {
    const id = await hangingDump()
    const dead = (await find(line.ledger, id))[0]!.fence
    maintainer.kill('SIGKILL')
    await line.start('apps/pg-maintainer/src/main.ts')
    const run = await ended(id, 60_000)
    const alive = (await sessions('pg.dump')).filter(name => name.includes(`:${dead}:`))
    expect([
      run.state,
      run.attempt,
      alive,
      left().filter(file => file.includes(`/${dead}/`)),
      await listArtifacts(line.ledger, { limit: 9 }),
    ]).toMatchObject(['succeeded', 2, [], [], [{ run: id }]])
  })
})

test('a vacuum is proven: dead tuples are gone, and the run says so', async () => {
  await begin()
  await db.query('DELETE FROM public.items WHERE id % 2 = 0')
  const answer = await ask(line.ledger, { verb: 'run', body: { task: 'pg.vacuum', params: { tables: ['public.items'] } }, actor: 'ada' })
  const run = await ended(answer.ok ? answer.run : '')
  const { rows } = await db.query(
    `SELECT n_dead_tup::int AS dead, last_vacuum IS NOT NULL AS vacuumed FROM pg_stat_user_tables WHERE relname = 'items'`,
  )
  expect([run.state, rows, await line.events(run.id)]).toEqual(['succeeded', [{ dead: 0, vacuumed: true }], ['vacuum_completed']])
})

describe('slots', () => {
  const everySecond = `schedules: { often: { task: pg.vacuum, target: core, cron: "* * * * * *", params: { tables: [public.notes] } } }\n`

  test('SIGKILL of a scheduler while slots fall due, with another beside it: no slot is run twice, none is without its end', async () => {
    await begin(everySecond)
    const other = await line.start('apps/scheduler/src/main.ts')
    await until('some slots were run', async () => (await slots()).length >= 3, { within: 30_000 })
    other.kill('SIGKILL')
    const before = (await slots()).length
    await until('further slots are run', async () => (await slots()).length >= before + 3, { within: 30_000 })
    const { rows } = await line.ledger.query<{ slot: Date; slot_to: Date | null }>(
      'select slot, slot_to from runs where slot is not null order by slot',
    )
    const seconds = rows.flatMap(({ slot, slot_to }) => {
      const last = (slot_to ?? slot).getTime()
      return Array.from({ length: (last - slot.getTime()) / 1_000 + 1 }, (_, i) => slot.getTime() / 1_000 + i)
    })
    expect(seconds).toEqual(Array.from({ length: seconds.length }, (_, i) => seconds[0]! + i))
  })

  test('pause --all stops births, and the paused slots are one row', async () => {
    await begin(everySecond)
    await until('a slot was run', async () => (await slots()).some(s => s.state === 'succeeded'), { within: 30_000 })
    await pause(line.ledger, { scope: 'all', name: null, until: new Date(Date.now() + 600_000), actor: 'ada' })
    const paused = await until(
      'five slots are paused',
      async () => (await slots()).find(s => s.state === 'skipped' && s.error?.code === 'paused' && s.slots >= 5),
      { within: 20_000 },
    )
    const rows = (await slots()).filter(s => s.error?.code === 'paused')
    expect([rows.length, paused.error?.message]).toEqual([1, expect.stringContaining('paused by ada until')])
  })

  test('a blackout makes no run and no failed event, and says why', async () => {
    await begin(
      `blackouts: [ { from: 2020-01-01, to: 2099-01-01, reason: "year end" } ]\nschedules: { often: { task: pg.dump, cron: "* * * * * *", params: { dump: items } } }\n`,
    )
    const skipped = await until('slots are skipped', async () => (await slots()).find(s => s.slots >= 3), { within: 30_000 })
    expect([skipped.state, skipped.error?.code, skipped.error?.message, await told()]).toEqual([
      'skipped',
      'blackout',
      expect.stringContaining('year end'),
      [],
    ])
  })

  test('a command in a blackout is refused and told the next opening', async () => {
    await begin(`blackouts: [ { from: 2020-01-01, to: 2099-01-01, reason: "year end" } ]\n`)
    const answer = await ask(line.ledger, { verb: 'run', body: { task: 'pg.dump', params: { dump: 'items' } }, actor: 'ada' })
    expect([answer, await told()]).toMatchObject([
      { ok: false, error: { code: 'refused_by_blackout', hint: 'it may begin from 2099-01-01 00:00 UTC on' } },
      ['policy_violation'],
    ])
  })

  test('a command with the same key is the same command', async () => {
    await begin()
    const command = {
      verb: 'run' as const,
      body: { task: 'pg.vacuum', params: { tables: ['public.notes'] } },
      actor: 'ada',
      key: 'deploy-17',
    }
    const answers = await Promise.all([ask(line.ledger, command), ask(line.ledger, command)])
    const { rows } = await line.ledger.query('select count(*)::int as runs from runs')
    expect([answers[0], rows]).toEqual([answers[1], [{ runs: 1 }]])
  })
})

/** All events but those of probes and their findings. */
const told = async () => (await line.events()).filter(event => !/^(finding|probe)_/.test(event))

async function begin(more = ''): Promise<void> {
  line = await startLine(
    `targets: { core: { engine: pg, url: "\${CORE_URL}" } }
stores:
  main: { url: "file://$FOLDER/store", free: 1MiB }
  full: { url: "file://$FOLDER/store", free: 1000TiB }
  other: { url: "file://$FOLDER/other", free: 1MiB }
dumps:
  items: { target: core, data: [public.items], stores: [main] }
  large: { target: core, data: [public.items], stores: [full] }
  notes: { target: core, data: [public.notes], stores: [other] }
alerts:
  channels: { hook: { type: webhook, url: "${sink.url}", secret: "${secret}" } }
  routes: [ { match: { severity: [error, critical] }, to: [hook] } ]
${more}`,
    { CORE_URL: target.url },
  )
  for (const store of ['store', 'other']) mkdirSync(join(line.folder, store))
  await Promise.all([
    line.start('apps/scheduler/src/main.ts'),
    line.start('apps/alert-relay/src/main.ts'),
    line.start('apps/pg-maintainer/src/main.ts').then(p => (maintainer = p)),
  ])
}
/** The maintainer anew, as a role that may do less. */
async function useRole(name: string): Promise<void> {
  await maintainer.stop()
  const url = new URL(target.url)
  url.username = name
  url.password = 'x'
  await line.start('apps/pg-maintainer/src/main.ts', { env: { CORE_URL: url.href } })
}
/** Begins a dump that takes some seconds, and stops its pg_dump in the middle: a dump that hangs is the same at three in the morning. */
async function hangingDump(): Promise<string> {
  await db.query(`INSERT INTO public.items SELECT i, repeat(md5(i::text), 10) FROM generate_series(20001, 200000) i`)
  const id = await start('items')
  const pid = await until(
    'pg_dump reads',
    async () => ((await sessions('pg.dump')).length >= 3 ? childNamed('pg_dump', maintainer.pid) : undefined),
    { every: 5 },
  )
  process.kill(pid, 'SIGSTOP')
  stopped.push(pid)
  return id
}
const stopped: number[] = []
const endStopped = () => {
  for (const pid of stopped.splice(0))
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // it is gone, as it should be
    }
}
/** The child of `parent` that runs `program`. */
function childNamed(program: string, parent: number): number | undefined {
  for (const pid of readdirSync('/proc').filter(name => /^\d+$/.test(name)))
    try {
      const [, name, ppid] = /^\d+ \((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))!
      if (name === program && Number(ppid) === parent) return Number(pid)
    } catch {
      // it ended while we looked
    }
  return undefined
}
const isAlive = (pid: number) => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}
async function start(name: string): Promise<string> {
  const answer = await ask(line.ledger, { verb: 'run', body: { task: 'pg.dump', params: { dump: name } }, actor: 'ada' })
  if (!answer.ok) throw new Error(JSON.stringify(answer))
  return answer.run
}
const dump = async (name: string): Promise<Run> => hurried(await start(name))
const hurried = (id: string): Promise<Run> => {
  // What is retried is retried with a back-off of half a minute; the tests have no time for it.
  const hurry = setInterval(
    () => void line.ledger.query(`update runs set not_before = now() where id = $1 and state = 'queued'`, [id]).catch(() => undefined),
    100,
  )
  return ended(id, 60_000).finally(() => clearInterval(hurry))
}
const final = new Set<string>(['succeeded', 'failed', 'cancelled', 'timed_out', 'refused', 'skipped'])
const ended = (id: string, within = 30_000): Promise<Run> =>
  until(
    `run ${id} ends`,
    async () => {
      const [found] = await find(line.ledger, id)
      if (!final.has(found!.state)) throw new Error(JSON.stringify([found!.state, found!.attempt, found!.waitingFor, found!.error]))
      return found
    },
    { within },
  )
const notified = async (count: number) => {
  await until(
    `${count} notifications; alerts: ${JSON.stringify(await listAlerts(line.ledger, { limit: 9 }))}`,
    () => sink.received.length >= count,
    { within: 20_000 },
  )
  return sink.received.map(({ body, verified }) => ({
    verified,
    body: JSON.parse(body) as { alert: { name: string; state: string }; operation: string },
  }))
}
const sessions = async (task: string): Promise<string[]> =>
  (
    await db.query<{ name: string }>(
      `SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE $1 AND datname = current_database()`,
      [`dbops:%:${task}`],
    )
  ).rows.map(row => row.name)
const slots = async (): Promise<Run[]> => {
  const { rows } = await line.ledger.query<{ id: string }>('select id from runs where slot is not null order by slot')
  return Promise.all(rows.map(async row => (await find(line.ledger, row.id))[0]!))
}
const stored = (): string[] =>
  readdirSync(join(line.folder, 'store'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath, entry.name).slice(join(line.folder, 'store').length + 1))
    .filter(file => !file.startsWith('.drafts'))
const manifests = () => stored().filter(file => file.endsWith('manifest.json'))
/** Files of attempts that are no backup: only the notes that void their places may stay. */
const left = () => stored().filter(file => !file.endsWith('manifest.json'))
