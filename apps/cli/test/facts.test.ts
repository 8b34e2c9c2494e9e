// Facts of tasks that the command line has never heard of, as people read them.

import { expect, test } from 'vitest'
import { factLines } from '../src/facts.ts'
import { type Worker, withoutGhosts } from '../src/workers.ts'

test('a list of things is a table, its name first, before before after', () => {
  const tables = [
    { deadAfter: 0, deadBefore: 60_213, table: 'core.event_outbox', holders: [] },
    { deadAfter: 12, deadBefore: 9, table: 'core.cases', holders: [] },
  ]
  expect(factLines({ tables })).toEqual([
    'tables',
    '  table              dead before  dead after',
    '  core.event_outbox       60,213           0',
    '  core.cases                   9          12',
  ])
})

test('a table that is wider than the room is told thing by thing', () => {
  expect(factLines([{ table: 'core.event_outbox', note: 'held back' }], 20)).toEqual(['- table  core.event_outbox', '  note   held back'])
})

test('numbers wear their unit, and those that name something have no thousands', () => {
  expect(factLines({ bytesAfter: 49_152, timeoutMs: 90_000, pid: 16_384, rows: 16_384 })).toEqual([
    'bytes after  48.0 KiB',
    'pid          16384',
    'rows         16,384',
    'timeout ms   1m 30s',
  ])
})

test('a measure that nobody could take is unknown', () => {
  expect(factLines({ freeBytes: null, lastVacuum: null })).toEqual(['free bytes   unknown', 'last vacuum  none'])
})

test('what only programs need is left out beside a name', () => {
  expect([
    factLines({ table: 'core.a', oid: 16_400 }),
    factLines([{ table: 'core.a', oid: 16_400, rows: 1 }]),
    factLines({ oid: 16_400 }),
  ]).toEqual([['table  core.a'], ['table   rows', 'core.a     1'], ['oid  16400']])
})

test('what takes a line stands above what takes several, and nothing is none', () => {
  expect(factLines({ deep: { a: 1 }, empty: [], isWhole: true })).toEqual(['empty     none', 'is whole  yes', 'deep', '  a  1'])
})

test('a list that is too long for its line has a line for each', () => {
  expect(factLines({ tables: ['core.tenants', 'core.users'] }, 20)).toEqual(['tables', '  core.tenants', '  core.users'])
})

test('a killed process that has a living successor is no trouble any more; the last of its kind is', () => {
  const one = (name: string, app: string, reasons: string[]) => ({ name, app, reasons, ready: !reasons.length }) as unknown as Worker
  const all = [one('a1', 'scheduler', ['silent: …']), one('a2', 'scheduler', []), one('b1', 'alert-relay', ['silent: …'])]
  expect(withoutGhosts(all).map(({ name }) => name)).toEqual(['a2', 'b1'])
})
