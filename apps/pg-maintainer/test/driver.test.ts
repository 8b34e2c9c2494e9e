// The driver on a real server: how its sessions are named and set, what keeps a second one out, and how all of them end.
import { spawnSync } from 'node:child_process'
import type { Lock } from '@dbops/ledger/runs'
import type { Session } from '@dbops/runtime/engine'
import { until } from '@dbops/testing/until'
import { afterEach, describe, expect, test } from 'vitest'
import { postgres } from '../src/postgres.ts'
import health from '../src/probes/health.ts'
import type { PostgresVerbs } from '../src/task.ts'
import { refuseOlder } from '../src/tool.ts'
import { type Ground, ground, lookOnce, targetOf } from './harness.ts'

const grounds: Ground[] = []
const sessions: Session<PostgresVerbs>[] = []
afterEach(async () => {
  for (const one of sessions.splice(0)) await one.close()
  for (const one of grounds.splice(0)) await one.drop()
})

describe('a working session', () => {
  test('is named after its attempt, before its first statement already', async () => {
    const place = await made()
    let seen: unknown[] = []
    const guard = async () => {
      seen = await place.sql(
        `SELECT application_name AS name, query FROM pg_stat_activity WHERE application_name LIKE 'dbops:%' AND datname = $1`,
        [place.name],
      )
    }
    await opened(place, 'dbops:beef0002:7:pg.vacuum', { guard })
    expect(seen).toEqual([{ name: 'dbops:beef0002:7:pg.vacuum', query: '' }])
  })

  test('that its guard refuses is gone, and has said nothing', async () => {
    const place = await made()
    await expect(opened(place, 'dbops:beef0002:8:pg.vacuum', { guard: () => Promise.reject(new Error('superseded')) })).rejects.toThrow(
      'superseded',
    )
    await nobodyCalled(place, 'dbops:beef0002:8:pg.vacuum')
  })

  test('fails where rows would be hidden, gives up on locks, and looks for tables nowhere but where it is told', async () => {
    const { verbs } = await opened(await made(), 'dbops:beef0002:9:pg.vacuum')
    const names = [
      'row_security',
      'lock_timeout',
      'statement_timeout',
      'idle_in_transaction_session_timeout',
      'search_path',
      'client_connection_check_interval',
    ]
    const rows = await verbs.pg.query<{ setting: string }>(
      `SELECT current_setting(name) AS setting FROM unnest($1::text[]) WITH ORDINALITY AS asked (name, place) ORDER BY place`,
      [names],
    )
    expect(rows.map(({ setting }) => setting)).toEqual(['off', '3s', '0', '1min', 'pg_catalog', '10s'])
  })

  test('takes one statement at a time', async () => {
    const { verbs } = await opened(await made(), 'dbops:beef0002:10:pg.vacuum')
    await expect(verbs.pg.execute('SELECT 1; SELECT 2')).rejects.toThrow('cannot insert multiple commands')
  })

  test('aborted, its statement is cancelled on the server, and fails with the reason', async () => {
    const place = await made()
    const abort = new AbortController()
    const { verbs } = await opened(place, 'dbops:beef0002:11:pg.vacuum', { signal: abort.signal })
    const sleeping = verbs.pg.query('SELECT pg_sleep(60)')
    await until('it sleeps', async () => (await sleepers(place, 'dbops:beef0002:11:pg.vacuum')) === 1)
    abort.abort(new Error('cancelled'))
    await expect(sleeping).rejects.toThrow('cancelled')
    await until('it sleeps no more', async () => (await sleepers(place, 'dbops:beef0002:11:pg.vacuum')) === 0)
  })

  test('that the server has ended tells it, once', async () => {
    const place = await made()
    const lost: Error[] = []
    await opened(place, 'dbops:beef0002:12:pg.vacuum', { onLost: error => lost.push(error) })
    await place.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbops:beef0002:12:pg.vacuum'`)
    await until('it was told', () => lost.length)
    expect(lost).toMatchObject([{ code: 'connection_lost', hint: expect.stringContaining(place.name) as string }])
  })

  test('closes with everything that belongs to it: a second session, a program, a backend that does not listen', async () => {
    const place = await made()
    const name = 'dbops:beef0002:13:pg.dump'
    const session = await opened(place, name)
    await session.verbs.pg.session()
    const tool = await session.verbs.pg.tool('pg_dump', ['--schema-only', '--lock-wait-timeout=60s'])
    void session.verbs.pg.query('SELECT pg_sleep(60)').catch(() => undefined)
    await session.close()
    expect(await place.sql(`SELECT query FROM pg_stat_activity WHERE application_name = $1`, [name])).toEqual([])
    expect((await tool.done).signal ?? (await tool.done).code).not.toBeNull()
  })
})

test('closes also while somebody ends the session that looks for what is left', async () => {
  const place = await made()
  const name = 'dbops:beef0002:14:pg.vacuum'
  for (let round = 0; round < 10; round++) {
    const session = await opened(place, name)
    const closed = new AbortController()
    const killing = (async () => {
      for (let kills = 0; kills < 3 && !closed.signal.aborted; )
        kills += (await place.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`, [name])).length
    })()
    await session.close().finally(() => closed.abort())
    await killing
    expect(await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1`, [name])).toEqual([])
  }
})

describe('locks in the target', () => {
  const wants = (name: string, exclusive: boolean): Lock[] => [{ name, exclusive }]
  test.each([
    ['exclusive', true, 'exclusive', true, 'locked'],
    ['shared', false, 'exclusive', true, 'locked'],
    ['exclusive', true, 'shared', false, 'locked'],
    ['shared', false, 'shared', false, 'open'],
  ])('%s, then %s', async (_, first, __, second, outcome) => {
    const place = await made()
    await opened(place, 'dbops:beef0003:1:pg.vacuum', { locks: wants('core/vacuum', first) })
    const other = await postgres.open(targetOf(place.url), request('dbops:beef0004:1:pg.vacuum', { locks: wants('core/vacuum', second) }))
    if (other !== 'locked') sessions.push(other)
    expect(other === 'locked' ? 'locked' : 'open').toBe(outcome)
  })

  test('are free when their session is closed, and the loser leaves none behind', async () => {
    const place = await made()
    const first = await opened(place, 'dbops:beef0003:2:pg.vacuum', { locks: wants('b', true) })
    await postgres.open(targetOf(place.url), request('dbops:beef0004:2:pg.vacuum', { locks: [...wants('a', true), ...wants('b', true)] }))
    await first.close()
    const third = await postgres.open(
      targetOf(place.url),
      request('dbops:beef0005:2:pg.vacuum', { locks: [...wants('a', true), ...wants('b', true)] }),
    )
    if (third !== 'locked') sessions.push(third)
    expect(third).not.toBe('locked')
  })
})

describe('eviction', () => {
  test('ends every session of the lost fences, and of no other', async () => {
    const place = await made()
    const ours = [
      'dbops:beef0006:1:pg.dump',
      'dbops:beef0006:1:pg.dump',
      'dbops:beef0006:12:pg.dump',
      'dbops:beef0007:1:pg.dump',
      'an application',
    ]
    for (const name of ours) await place.client(name)
    await postgres.evict(targetOf(place.url), [1, 2], 'beef0006', 'dbops:beef0006:3:pg.dump', AbortSignal.timeout(10_000))
    const left = await place.sql<{ name: string }>(
      `SELECT application_name AS name FROM pg_stat_activity WHERE datname = $1 AND application_name <> 'the test' ORDER BY 1`,
      [place.name],
    )
    expect(left.map(({ name }) => name)).toEqual(['an application', 'dbops:beef0006:12:pg.dump', 'dbops:beef0007:1:pg.dump'])
  })

  test('that may not end a session says which grant is missing', async () => {
    const place = await made()
    const role = await place.role('GRANT pg_read_all_stats TO %')
    await place.client('dbops:beef0006:1:pg.dump')
    await expect(
      postgres.evict(targetOf(place.as(role)), [1], 'beef0006', 'dbops:beef0006:3:pg.dump', AbortSignal.timeout(10_000)),
    ).rejects.toMatchObject({
      code: 'evict_denied',
      hint: expect.stringContaining('GRANT pg_signal_backend') as string,
    })
  })
})

describe('a target that cannot be worked with', () => {
  test('a wrong password is told with its hint, and without the password', async () => {
    const place = await made()
    const role = await place.role()
    const failure = await failureOf(postgres.open(targetOf(place.as(role).replace('secret', 'wrong')), request('dbops:beef0008:1:pg.dump')))
    expect([failure.code, failure.message.includes('wrong'), failure.hint]).toEqual([
      '28P01',
      false,
      'the password is wrong: correct the secret of the target',
    ])
  })

  test('a server that is not there is told with its address', async () => {
    expect(await failureOf(postgres.open(targetOf('postgres://me:x@127.0.0.1:1/core'), request('dbops:beef0008:1:pg.dump')))).toMatchObject(
      {
        code: 'ECONNREFUSED',
        message: expect.stringContaining('127.0.0.1:1/core cannot be reached') as string,
      },
    )
  })

  test('a client program that is older than the server is refused, and both are named', () => {
    expect(() => refuseOlder('pg_dump', '15.18', { major: 16, version: '16.4' })).toThrow(
      expect.objectContaining({
        name: 'Refused',
        code: 'tool_too_old',
        message: 'pg_dump is version 15.18 and the server is 16.4: it cannot read a newer server',
      }) as Error,
    )
  })

  test('what a plain role may not do is found before the first run', async () => {
    const place = await made('CREATE SCHEMA core; CREATE TABLE core.t ();')
    const role = await place.role()
    const found = await postgres.inspect!(targetOf(place.as(role)), AbortSignal.timeout(10_000))
    expect(found.map(({ level, what }) => `${level}: ${what.replace(role, 'ROLE').replace(/\d+\.\d+\S*/, 'V')}`)).toEqual([
      expect.stringContaining('ok: PostgreSQL V') as string,
      'ok: pg_dump V',
      'ok: pg_dumpall V',
      'ok: pg_restore V',
      'ok: psql V',
      'ok: pg_amcheck V',
      'warning: ROLE may not read 1 of 1 tables: pg.dump will refuse',
      'warning: ROLE is no member of the owners of 1 of 1 tables: pg.vacuum would be skipped there',
      'warning: ROLE is bound by row level security: pg.dump refuses tables that it filters',
      'warning: ROLE does not see what other sessions do',
    ])
  })
})

describe('pg.health', () => {
  test('tells version, uptime, connections and that there is no replica', async () => {
    const place = await made()
    const { result: seen } = await lookOnce(health, place.url)
    const [{ version }] = (await place.sql<{ version: string }>(`SELECT current_setting('server_version') AS version`)) as [
      { version: string },
    ]
    expect(seen).toMatchObject({
      version,
      uptimeSeconds: expect.any(Number) as number,
      maxConnections: 300,
      connections: { active: expect.any(Number) as number },
      standby: false,
      replicationLagSeconds: null,
    })
  })

  test('a role without pg_monitor sees connections whose state is hidden, and the reading stands', async () => {
    const place = await made()
    const { result: seen } = await lookOnce(health, place.as(await place.role()))
    expect(seen.connections).toMatchObject({ hidden: expect.any(Number) as number })
  })
})

test('the service runs under plain node, and reads its configuration first', async () => {
  const main = new URL('../src/main.ts', import.meta.url).pathname
  const { status, stdout } = spawnSync(process.execPath, [main, '--config', '/nowhere.yaml'], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  })
  expect([status, stdout]).toEqual([2, expect.stringContaining('/nowhere.yaml:1: the file does not exist') as string])
})

async function made(setup = 'CREATE SCHEMA core'): Promise<Ground> {
  const place = await ground(setup)
  grounds.push(place)
  return place
}

type Request = Parameters<typeof postgres.open>[1]
const request = (name: string, more: Partial<Request> = {}): Request => ({
  name,
  locks: [],
  signal: new AbortController().signal,
  guard: () => Promise.resolve(),
  onLost: () => undefined,
  ...more,
})

async function opened(place: Ground, name: string, more: Partial<Request> = {}): Promise<Session<PostgresVerbs>> {
  const session = (await postgres.open(targetOf(place.url), request(name, more))) as Session<PostgresVerbs>
  sessions.push(session)
  return session
}

const sleepers = async (place: Ground, name: string): Promise<number> =>
  (
    await place.sql<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1 AND state = 'active' AND query LIKE '%pg_sleep%'`,
      [name],
    )
  )[0]!.n

const nobodyCalled = (place: Ground, name: string) =>
  until(
    `no session is called ${name}`,
    async () => !(await place.sql(`SELECT FROM pg_stat_activity WHERE application_name = $1`, [name])).length,
  )

const failureOf = (work: Promise<unknown>): Promise<Error & { code?: string; hint?: string }> =>
  work.then(
    () => {
      throw new Error('it succeeded')
    },
    (error: Error) => error,
  )
