// pg.settings on a server that is set up as the platform's plan says, word for word, and on one that nobody has set up.
import { startPostgres } from '@dbops/servers/postgres'
import type { Server } from '@dbops/servers/resolve'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import settings from '../../src/probes/settings.ts'
import { compareSetting, type Setting, settingSql } from '../../src/settings/compare.ts'
import { type Ground, ground, lookOnce } from '../harness.ts'

interface Compared {
  name: string
  found: string | null
  verdict: string
  reason: string | null
}

describe('a server with the parameter group of the plan', () => {
  let server: Server
  beforeAll(async () => {
    server = await startPostgres({
      settings: {
        fsync: 'on',
        full_page_writes: 'on',
        autovacuum_vacuum_threshold: '50',
        autovacuum_vacuum_scale_factor: '0.1',
        autovacuum_analyze_threshold: '50',
        autovacuum_analyze_scale_factor: '0.05',
        log_min_duration_statement: '1000',
        log_statement: 'none',
        // The plan has pg_cron here too; it changes nothing of what is looked at.
        shared_preload_libraries: 'pg_stat_statements',
        'pg_stat_statements.max': '5000',
        'pg_stat_statements.track': 'all',
        'auto_explain.log_min_duration': '3000',
        'auto_explain.log_analyze': 'true',
        'auto_explain.log_format': 'json',
      },
    })
  })
  afterAll(() => server.stop())

  test('has three dead settings: auto_explain is set and not loaded', async () => {
    const { result } = await lookOnce(settings, server.url)
    const dead = (result.settings as Compared[]).filter(({ verdict }) => verdict !== 'as meant')
    expect(dead.map(({ name, found, verdict }) => `${name} ${found}: ${verdict}`)).toEqual([
      'shared_preload_libraries pg_stat_statements: differs',
      'auto_explain.log_min_duration 3000: dead',
      'auto_explain.log_analyze true: dead',
      'auto_explain.log_format json: dead',
    ])
  })

  test('is told how to bring them to life, and nothing that it need not hear', async () => {
    const { faults } = await lookOnce(settings, server.url)
    expect(faults.map(({ level, key, sql }) => [level, key, sql])).toEqual([
      ['info', 'setting shared_preload_libraries', `ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements', 'auto_explain'`],
      ['info', 'setting auto_explain.log_min_duration', undefined],
      ['info', 'setting auto_explain.log_analyze', undefined],
      ['info', 'setting auto_explain.log_format', undefined],
    ])
  })

  test('that waits for a restart says so', async () => {
    const place = await ground('CREATE SCHEMA core', { url: server.url, name: 'postgres', drop: () => Promise.resolve() })
    try {
      await place.sql(`ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements', 'auto_explain'`)
      await place.sql('SELECT pg_reload_conf()')
      await expect
        .poll(async () => (await lookOnce(settings, server.url)).faults.find(({ key }) => key.endsWith('preload_libraries'))?.hint)
        .toBe('another value stands in its files: restart the server')
    } finally {
      await place.drop()
    }
  })
})

describe('the server of the tests', () => {
  let place: Ground
  beforeAll(async () => {
    place = await ground('CREATE SCHEMA core')
  })
  afterAll(() => place.drop())

  test('runs without fsync, which is the worst that can be found', async () => {
    const { faults } = await lookOnce(settings, place.url)
    expect(faults.filter(({ level }) => level === 'critical').map(({ key, sql }) => `${key}: ${sql}`)).toEqual([
      `setting fsync: ALTER SYSTEM SET fsync = 'on'`,
      `setting full_page_writes: ALTER SYSTEM SET full_page_writes = 'on'`,
    ])
  })

  test('each statement that is told would set what is meant', async () => {
    const { faults } = await lookOnce(settings, place.url)
    const wrong: string[] = []
    for (const { sql, key } of faults)
      if (sql && !key.includes('libraries'))
        await place.sql(sql.replace('ALTER SYSTEM SET', 'SET LOCAL')).catch((error: Error & { code?: string }) => {
          // Settings of the whole server cannot be set in a session; their values were parsed all the same.
          if (error.code !== '55P02') wrong.push(`${sql}: ${error.message}`)
        })
    expect(wrong).toEqual([])
  })

  test('shows a plain role what it may see, and says why not the rest', async () => {
    const { result } = await lookOnce(settings, place.as(await place.role()))
    const hidden = (result.settings as Compared[]).filter(({ verdict }) => verdict === 'hidden')
    expect(hidden.map(({ name, reason }) => `${name}: ${reason}`)).toContain(
      'shared_preload_libraries: the role may not see it: GRANT pg_monitor to it',
    )
  })
})

const row = (setting: string | null): Setting => ({
  name: 'x',
  setting,
  unit: null,
  source: 'default',
  waitsForRestart: false,
  written: null,
})
const meant = (value: string | string[]) => ({ name: 'x', meant: value, why: '', level: 'info' as const })

test.each([
  ['0.1', '0.10', 'as meant'],
  ['0.1', '0.2', 'differs'],
  ['none', 'all', 'differs'],
  [['a'], 'b, "a"', 'as meant'],
  [['a', 'c'], 'a', 'differs'],
  ['0', '', 'differs'],
])('meant %j, found %j: %s', (value, found, verdict) => {
  expect(compareSetting(meant(value), row(found), []).verdict).toBe(verdict)
})

test('a list keeps what stands in it', () => {
  const one = meant(['auto_explain'])
  expect(settingSql(one, compareSetting(one, row('pg_cron'), []))).toBe(`ALTER SYSTEM SET x = 'pg_cron', 'auto_explain'`)
})
