// What lines and tables look like: widths, colours, and events as sentences.
import type { Envelope } from '@dbops/contract/envelope'
import { expect, test } from 'vitest'
import { ago, printer } from '../src/print.ts'
import { operationWords } from '../src/runs/operation-words.ts'
import { sentence } from '../src/up/sentences.ts'
import { worthSaying } from '../src/up/service-log.ts'
import { wrap } from '../src/up/teller.ts'

test('columns are as wide as their widest cell, and a Korean character is two wide', () => {
  const columns = [
    { head: 'name', of: (row: [string, number]) => row[0] },
    { head: 'rows', of: (row: [string, number]) => row[1], right: true },
  ]
  expect(
    written(print =>
      print.rows(
        [
          ['창고', 7],
          ['desk', 1234],
        ],
        columns,
        'none',
      ),
    ),
  ).toBe('NAME  ROWS\n창고     7\ndesk  1234\n')
})

test('a narrow terminal leaves out what is declared wide, then cuts the last column', () => {
  const columns = [
    { head: 'id', of: () => '8f3a91c2' },
    { head: 'born', wide: true, of: () => '2026-01-01 12:00' },
    { head: 'about', of: () => 'the store is full, as it has been since yesterday' },
  ]
  const lines = (width: number) => written(print => print.rows([1], columns, 'none'), true, false, width).split('\n')
  expect([lines(60)[1], lines(40)[1]]).toEqual([
    '8f3a91c2  2026-01-01 12:00  the store is full, as it has be…',
    '8f3a91c2  the store is full, as it has …',
  ])
})

test('on a terminal words have colours, elsewhere and under NO_COLOR they have none', () => {
  const red = { head: 'x', of: () => 'bad', colour: () => 'red' as const }
  expect([written(p => p.rows([1], [red], ''), true).includes('\u001b[31mbad'), written(p => p.rows([1], [red], ''))]).toEqual([
    true,
    'X\nbad\n',
  ])
})

test('in JSON people get nothing and scripts one object a line', () => {
  const text = written(
    print => {
      print.environment('dev')
      print.line('for people')
      print.rows([{ a: 1 }, { a: 2 }], [], 'none')
    },
    false,
    true,
  )
  expect(text).toBe('{"a":1}\n{"a":2}\n')
})

test('long lines break between words, and a path stays whole', () => {
  expect(wrap('a line and /a/path/longer/than/the/room here', 12)).toEqual(['a line and', '/a/path/longer/than/the/room', 'here'])
})

test('an age has one unit', () => {
  const now = new Date('2026-01-01T12:00:00Z')
  expect(['11:59:30', '11:50:00', '02:00:00'].map(time => ago(`2026-01-01T${time}Z`, now))).toEqual(['30s', '10m', '10h'])
})

test('a vacuum is told by its tables', () => {
  const table = { table: 'core.event_outbox', seconds: 0.4, deadBefore: 60_213, deadAfter: 0 }
  expect(sentence(ran({ task: 'pg.vacuum', state: 'succeeded', result: { tables: [table] } }))).toEqual({
    subject: 'pg/core',
    text: 'pg.vacuum core.event_outbox: 60,213 dead tuples → 0 in 0.4 s',
    tone: 'good',
  })
})

test('a task without a sentence of its own is told by the facts of its result', () => {
  const result = { rows: 10_500, bytes: 49_152, verdict: 'whole', tables: ['a', 'b'], detail: {} }
  expect(sentence(ran({ task: 'pg.other', state: 'succeeded', result })).text).toBe(
    'pg.other:x: rows 10,500, bytes 48.0 KiB, verdict whole, tables 2 in 1.5s',
  )
})

test.each([
  [
    'a purge by what went and what is left',
    'pg.purge',
    { table: 'core.llm_call_logs', deleted: 15_000, batches: 12, way: 'blocks', left: 2, locked: 2 },
    'pg.other x: 15,000 rows of core.llm_call_logs deleted in 12 batches, by blocks, 2 left, 2 of them locked',
  ],
  [
    'a purge that had nothing to do',
    'pg.purge',
    { table: 'core.a', deleted: 0, batches: 0, way: 'index', left: 0, locked: 0 },
    'pg.other x: 0 rows of core.a deleted',
  ],
  [
    'an analyze by its tables',
    'pg.analyze',
    { tables: [{ table: 'core.a', changedBefore: 1_200 }] },
    'pg.analyze core.a: 1,200 changed rows are in the statistics',
  ],
  ['an analyze of what needs it, when nothing does', 'pg.analyze', { tables: [] }, 'pg.analyze: no table needs it'],
  [
    'a refresh by its views',
    'pg.refresh-views',
    {
      views: [
        { rowsBefore: null, rowsAfter: 5 },
        { rowsBefore: 1_000, rowsAfter: 1_010 },
      ],
    },
    'pg.other x: 2 views of one moment, 1,000 rows → 1,015',
  ],
])('%s', (_, task, result, text) => {
  expect(sentence(ran({ task, state: 'succeeded', result })).text).toBe(text)
})

test.each([
  ['a finding by what it is', 'finding_opened', { what: 'a table is ill', level: 'error' }, 'a table is ill', 'bad'],
  ['a small finding without alarm', 'finding_opened', { what: 'a setting differs', level: 'info' }, 'a setting differs', 'plain'],
  ['its end', 'finding_gone', { what: 'a table is ill', level: 'error' }, 'not any more: a table is ill', 'good'],
  [
    'a slow statement on one line',
    'db_query_slow',
    { query: 'SELECT 1,\n  2', duration_ms: 2_100, application: 'core-api', pid: 7 },
    'slow statement, 2.1s, "core-api" pid 7: SELECT 1, 2',
    'odd',
  ],
  [
    'one slot',
    'schedule_missed',
    { schedule: 'x', slots: 1, reason: 'it fell due' },
    'a slot of schedule x was not run: it fell due',
    'odd',
  ],
  [
    'several slots',
    'schedule_missed',
    { schedule: 'x', slots: 6, reason: 'it fell due' },
    '6 slots of schedule x were not run: they fell due',
    'odd',
  ],
])('told is %s', (_, event, data, text, tone) => {
  const ce = { type: `io.axiom.dbops.${event}.v1`, subject: 'pg/core', operation: 'x', severity: 'warning', data } as unknown as Envelope
  expect(sentence(ce)).toEqual({ subject: 'pg/core', text, tone })
})

test('a run that waits for another person says what to type', () => {
  const ce = {
    ...ran({ task: 'pg.vacuum-full', state: 'awaiting_approval' }),
    type: 'io.axiom.dbops.approval_wanted.v1',
    runid: '0199-8f3a91c2',
  }
  expect(sentence(ce).text).toBe('pg.other:x waits for another person: ./dbops approve 8f3a91c2')
})

test.each([
  ['of an entry it is itself', 'pg.dump:metadata', { dump: 'metadata' }, 'pg.dump:metadata'],
  ['with a hash it has its tables beside it', 'pg.vacuum:1f21b0', { tables: ['core.a'] }, 'pg.vacuum:1f21b0 core.a'],
  ['many tables are counted', 'pg.vacuum:1f21b0', { tables: ['a', 'b', 'c', 'd'] }, 'pg.vacuum:1f21b0 a, b, 2 more'],
  ['with a hash and no list it is itself', 'pg.x:1f21b0', { size: 3 }, 'pg.x:1f21b0'],
])('an operation: %s', (_, operation, params, words) => {
  expect(operationWords(operation, params)).toBe(words)
})

test('a failure has its cause and its hint', () => {
  const error = { code: 'no_space', message: 'the store is full', hint: 'make room' }
  expect(sentence(ran({ task: 'pg.other', state: 'timed_out', result: null, error }))).toEqual({
    subject: 'pg/core',
    text: 'pg.other:x timed out: the store is full',
    hint: 'make room',
    tone: 'odd',
  })
})

test.each([
  [
    'a notification',
    { level: 'critical', event: 'notification', channel: 'desk', message: 'm' },
    { subject: 'alert desk', text: 'm', tone: 'bad' },
  ],
  ['what the stream tells', { level: 'error', event: 'backup_failed', message: 'm' }, undefined],
  ['small talk', { level: 'info', event: 'run_started', message: 'm' }, undefined],
  ['a warning', { level: 'warn', event: 'dead_letter', message: 'm', hint: 'h' }, { subject: 'app', text: 'm', hint: 'h', tone: 'odd' }],
] as const)("of a service's log, %s is told or not", (_, line, said) => {
  expect(worthSaying('app', line)).toEqual(said)
})

const ran = (facts: Record<string, unknown>) =>
  ({
    type: 'io.axiom.dbops.run_succeeded.v1',
    subject: 'pg/core',
    operation: 'pg.other:x',
    severity: 'info',
    data: { startedAt: '2026-01-01T00:00:00.000Z', finishedAt: '2026-01-01T00:00:01.500Z', ...facts },
  }) as unknown as Envelope

function written(say: (print: ReturnType<typeof printer>) => void, isTTY = false, json = false, columns = 80): string {
  let text = ''
  const out = { isTTY, columns, write: (part: string) => Boolean((text += part)) }
  say(printer({ json, out: out as unknown as NodeJS.WriteStream }))
  return text
}
