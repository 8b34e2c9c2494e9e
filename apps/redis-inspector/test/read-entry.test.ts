// What becomes of one entry of a foreign stream: nothing that it holds makes the reading of it throw.
import { ingest } from '@dbops/contract/config-file'
import { envelope } from '@dbops/contract/envelope'
import { describe, expect, test } from 'vitest'
import { type Entry, idOf, readEntry } from '../src/ingest/read-entry.ts'

const from = {
  name: 'axiom-events',
  environment: 'test',
  config: ingest.parse({
    target: 'cache',
    stream: 'axiom:events',
    keep: ['data_registered', 'db_query_slow', 'db_query_failed', 'backup_failed'],
  }),
}
const id = '1764054000000-3'
const read = (...fields: string[]) => readEntry([id, fields] as Entry, from)

test('an entry of Core is an event of ours, with its own id, its place and what it said', () => {
  const own = '0198c7d2-7c6b-7d2c-8a44-3a2f6f3f0a01'
  const said = read(
    'event_type',
    'data_registered',
    'event_id',
    own,
    'created_at',
    '2026-11-25T07:00:00.123456',
    'payload',
    '{"case_id":"c1","rows":12}',
  )
  expect(said).toMatchObject({
    outcome: 'kept',
    event: {
      id: own,
      type: 'io.axiom.dbops.data_registered.v1',
      source: '/dbops/redis-inspector',
      subject: 'redis/cache',
      operation: 'ingest:axiom-events',
      severity: 'info',
      data: { case_id: 'c1', rows: 12, occurred_at: '2026-11-25T07:00:00.123Z' },
    },
  })
})

test('without an id of its own that is a uuid, an entry has the same id each time, and another entry another', () => {
  const ids = ['a b 1-0', 'a b 1-0', 'a b 1-1'].map(place => idOf('evt-17', place))
  expect([ids[0] === ids[1], ids[0] === ids[2], envelope.shape.id.safeParse(ids[0]).success]).toEqual([true, false, true])
})

test('a slow statement is cut at 500 characters and redacted', () => {
  const query = `ALTER ROLE a PASSWORD 'geheim'; ${'x'.repeat(900)}`
  const said = read('event_type', 'db_query_slow', 'payload', JSON.stringify({ duration_ms: 1532.5, query, params_count: 2 }))
  const { data } = (said as { event: { data: Record<string, unknown> } }).event
  expect([
    data['duration_ms'],
    data['params_count'],
    String(data['query']).length,
    String(data['query']).includes('geheim'),
    data['source'],
  ]).toEqual([1532.5, 2, 500, false, 'ingest:axiom-events'])
})

test.each([
  ['db_query_slow', 'query'],
  ['db_query_failed', 'query'],
  ['db_query_failed', 'statement'],
])('a statement that %s tells as %s goes out without the values that were asked for', (type, name) => {
  const statement = `SELECT id FROM users WHERE password = crypt('horse', 'bf') AND email = 'a@b.kr' AND age > 41 -- for Kim`
  const said = read('event_type', type, 'payload', JSON.stringify({ duration_ms: 1_532, [name]: statement }))
  expect([said.outcome, /SELECT id FROM users/.test(JSON.stringify(said)), /horse|bf|a@b|41|Kim/.exec(JSON.stringify(said))]).toEqual([
    'kept',
    true,
    null,
  ])
})

describe('of a statement no value goes out', () => {
  const secret = 'Zq7'
  const sql = `SELECT id FROM users WHERE name = '${secret}'`
  test.each<[what: string, data: object]>([
    ['however deep it lies', { detail: { query: sql } }],
    ['in a list', { query: [sql] }],
    ['under another name', { query_text: sql, text: sql }],
    ['in the words of an error', { error: `syntax error at "${sql}"` }],
    ['in a row that an error quotes', { message: `duplicate key. Key (email)=(${secret} a) already exists.` }],
    ['in a value that an error quotes', { message: `invalid input syntax for type integer: "${secret} a"` }],
    ['beside it, as parameters', { query: 'SELECT $1', params: [secret] }],
  ])('%s', (_, data) => {
    const said = read('event_type', 'db_query_failed', 'payload', JSON.stringify(data))
    expect([said.outcome, JSON.stringify(said).includes(secret)]).toEqual(['kept', false])
  })

  test.each<[what: string, type: string, payload: string]>([
    ['with quotes as \\u0027', 'db_query_slow', JSON.stringify({ query: sql }).replaceAll("'", '\\u0027')],
    ['with escapes', 'db_query_slow', JSON.stringify({ query: `SELECT E'it\\' ${secret}'` })],
    ['with parameters', 'db_query_slow', JSON.stringify({ query: 'SELECT $1', params: [secret] })],
    ['that is no JSON', 'db_query_slow', `{"query": "${sql}`],
    ['of another event', 'data_registered', JSON.stringify({ query: sql })],
  ])('set aside %s', (_, type, payload) => {
    const said = read('event_type', type, 'created_at', 'never', 'payload', payload)
    expect([said.outcome, JSON.stringify(said).includes(secret)]).toEqual(['dead_letter', false])
  })

  test('and what is none stays', () => {
    const said = read(
      'event_type',
      'db_query_failed',
      'payload',
      JSON.stringify({ service: 'core-api', trace: '0198c7d2-7c6b', at: '2026-11-25T07:00:00Z' }),
    )
    expect(said).toMatchObject({ event: { data: { service: 'core-api', trace: '0198c7d2-7c6b', at: '2026-11-25T07:00:00Z' } } })
  })
})

test('flat fields stand for the data where there is no field of it', () => {
  expect(read('event_type', 'db_query_slow', 'duration_ms', '1200', 'query', 'SELECT 1')).toMatchObject({
    event: { data: { duration_ms: 1200, query: 'SELECT ?', params_count: null } },
  })
})

test("another service's failed backup has the shape of a run that was none of ours, with its words", () => {
  expect(read('event_type', 'backup_failed', 'payload', '{"error":"disk full","target":"metadata"}')).toMatchObject({
    event: {
      severity: 'critical',
      data: {
        task: 'ingest:axiom-events',
        state: 'failed',
        error: { code: 'told_by_platform', message: 'disk full' },
        result: { target: 'metadata' },
      },
    },
  })
})

test('what nobody keeps is passed by, whatever it holds', () => {
  expect([read('event_type', 'case_opened', 'payload', '{'), read('event_type', '__proto__')].map(one => one.outcome)).toEqual([
    'passed_by',
    'passed_by',
  ])
})

test('text that PostgreSQL cannot hold is made holdable', () => {
  const { data } = (
    read('event_type', 'data_registered', 'payload', String.raw`{"a\u0000":"x\u0000y","b":"\ud800"}`) as { event: { data: unknown } }
  ).event
  expect(data).toMatchObject({ 'a\ufffd': 'x\ufffdy', b: '\ufffd' })
})

describe('set aside, with its kind:', () => {
  test.each([
    ['no type', ['payload', '{}'], 'no_type'],
    ['an empty type', ['event_type', '', 'payload', '{}'], 'no_type'],
    ['no fields at all', [], 'no_type'],
    ['broken JSON', ['event_type', 'data_registered', 'payload', '{"a":'], 'bad_json'],
    ['JSON that is a list', ['event_type', 'data_registered', 'payload', '[1]'], 'bad_data'],
    ['data of another shape', ['event_type', 'db_query_slow', 'payload', '{"query":7}'], 'bad_data'],
    ['a duration that is none', ['event_type', 'db_query_slow', 'duration_ms', 'long', 'query', 'x'], 'bad_data'],
    ['a time that is none', ['event_type', 'data_registered', 'created_at', 'yesterday', 'payload', '{}'], 'bad_time'],
    ['a time in another age', ['event_type', 'data_registered', 'created_at', '99999-01-01T00:00:00Z', 'payload', '{}'], 'bad_time'],
    ['two megabytes', ['event_type', 'data_registered', 'payload', JSON.stringify({ a: 'x'.repeat(2 ** 21) })], 'too_large'],
    [
      'brackets without end',
      ['event_type', 'data_registered', 'payload', `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`],
      'unreadable',
    ],
  ])('%s', (_, fields, kind) => {
    expect(readEntry([id, fields], from)).toMatchObject({ outcome: 'dead_letter', letter: { entry: id, kind } })
  })

  test('an entry about a statement keeps none of the values that were asked for', () => {
    const said = read('event_type', 'db_query_slow', 'payload', JSON.stringify({ query: `SELECT 1 FROM users WHERE email = 'a@b.kr'` }))
    expect(said).toMatchObject({ letter: { kind: 'bad_data', excerpt: expect.stringMatching(/FROM users WHERE email = \?/) as string } })
    expect(JSON.stringify(said)).not.toContain('a@b')
  })

  test('its first 500 characters are kept, without a password', () => {
    const said = read('event_type', 'data_registered', 'payload', `{postgres://a:geheim@b/c ${'x'.repeat(9_000)}`)
    const { excerpt } = (said as { letter: { excerpt: string } }).letter
    expect([excerpt.length, excerpt.includes('geheim')]).toEqual([500, false])
  })
})

test('a megabyte of letters is read in no time', () => {
  const began = performance.now()
  read('event_type', 'data_registered', 'payload', JSON.stringify({ a: 'a'.repeat(1_000_000) }))
  expect(performance.now() - began).toBeLessThan(2_000)
})

test.each([
  ['1764054000', '2025-11-25T07:00:00.000Z'],
  ['1764054000123', '2025-11-25T07:00:00.123Z'],
  ['2025-11-25 16:00:00+09:00', '2025-11-25T07:00:00.000Z'],
  ['', '2025-11-25T07:00:00.000Z'],
])('the time %j is %s', (time, at) => {
  expect(read('event_type', 'data_registered', 'created_at', time, 'payload', '{}')).toMatchObject({ event: { data: { occurred_at: at } } })
})
