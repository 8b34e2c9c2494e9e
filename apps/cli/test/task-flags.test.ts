// The flags that follow from a task's JSON Schema, and the parameters that follow from the flags.
import type { JsonSchema, TaskEntry } from '@dbops/catalog/catalog'
import { expect, test } from 'vitest'
import { exampleOf, optionsOf, paramsFrom } from '../src/runs/task-flags.ts'

test('flags are kebab-case, and say what is required, listed or taken for granted', () => {
  const task = taskWith(
    {
      lockTimeout: { type: 'string', default: '5s', description: 'per table' },
      level: { type: 'string', enum: ['low', 'high'] },
      tables: { type: 'array', items: { type: 'string' } },
      dump: { type: 'string', 'x-ref': 'dumps' },
    },
    ['tables'],
  )
  expect(optionsOf(task)).toEqual({
    '--lock-timeout <text>': { about: 'per table (default 5s)' },
    '--level <level>': { about: '(one of low, high)' },
    '--tables <table>': { about: '(required; again or comma-separated)', repeat: true },
    '--dump <dump>': { about: '(a name from dumps of the configuration)' },
  })
})

test('a switch can be turned both ways', () => {
  expect(Object.keys(optionsOf(taskWith({ dryMode: { type: 'boolean' } })))).toEqual(['--dry-mode', '--no-dry-mode'])
})

test('a parameter called like a flag of run itself is set apart', () => {
  const task = taskWith({ timeout: { type: 'string' } })
  expect([Object.keys(optionsOf(task)), paramsFrom(task, { paramTimeout: '5s', timeout: '1m' })]).toEqual([
    ['--param-timeout <param-timeout>'],
    { timeout: '5s' },
  ])
})

test('lists may be given again or with commas, but not at a comma in quotes', () => {
  const task = taskWith({ tables: { type: 'array', items: { type: 'string' } } })
  expect(paramsFrom(task, { tables: ['a.b, c.d', 'e."f,g"'] })).toEqual({ tables: ['a.b', 'c.d', 'e."f,g"'] })
})

test('numbers become numbers, and objects are JSON', () => {
  const task = taskWith({ batch: { type: 'integer' }, deep: { type: 'object', properties: { a: { type: 'integer' } } } })
  expect(paramsFrom(task, { batch: '500', deep: '{"a":1}' })).toEqual({ batch: 500, deep: { a: 1 } })
})

test.each([
  [{ batch: 'many' }, '--batch found "many", expected a number'],
  [{ batch: '1', deep: '{' }, /^--deep is no JSON: /],
  [{}, '--batch is missing'],
])('%j is wrong use, in the words of the flags', (options, message) => {
  const task = taskWith({ batch: { type: 'integer' }, deep: { type: 'object' } }, ['batch'])
  expect(() => paramsFrom(task, options)).toThrow(message)
})

test('the example has what is required, with values of the declaration', () => {
  const task = taskWith(
    {
      tables: { type: 'array', items: { type: 'string', examples: ['core.users'] } },
      level: { type: 'string', enum: ['low'] },
      other: { type: 'string' },
    },
    ['tables', 'level'],
  )
  expect(exampleOf(task)).toBe('./dbops run pg.test --tables core.users --level low')
})

const taskWith = (properties: Record<string, JsonSchema>, required: string[] = []) =>
  ({ name: 'pg.test', params: { type: 'object', properties, required, additionalProperties: false } }) as unknown as TaskEntry
