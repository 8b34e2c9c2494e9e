import { expect, test } from 'vitest'
import { parsePlace, placeOf, placeOfRun } from '../src/place.ts'
import { bornAt, codeOf, parts } from './fresh-store.ts'

const run = '0198c0de-0000-7000-8000-000000000001'

test('a place says environment, engine, target, kind, birth, run and fence', () => {
  expect(placeOf(parts({ run, fence: 42 }))).toBe(`test/postgres/core/dump/20261101T050000Z-${run}/42`)
})

test('a place can be read back', () => {
  const whole = parts({ engine: 'neo4j', environment: 'prod-2', run, fence: 7 })
  expect(parsePlace(placeOf(whole))).toEqual(whole)
})

test('fractions of a second are left out', () => {
  expect(placeOfRun(parts({ run, bornAt: new Date(bornAt.getTime() + 999) }))).toBe(placeOfRun(parts({ run })))
})

test.each([
  'test/postgres/core/dump',
  `test/postgres/core/dump/20261101T050000Z-${run}`,
  `test/postgres/core/dump/20261101T050000Z-${run}/x`,
  `test/postgres/core/dump/20261101T050000Z-${run}/0`,
  `test/redis/core/dump/20261101T050000Z-${run}/1`,
  `test/postgres/core/dump/20261399T050000Z-${run}/1`,
  `test/postgres/core/dump/20261101T050000Z-${run}/1/file`,
])('%s is no place', path => {
  expect(parsePlace(path)).toBeUndefined()
})

test.each([{ target: '../core' }, { environment: 'Prod' }, { run: 'x' }, { fence: -1 }, { engine: 'redis' as const }])(
  '%o makes no place',
  async more => {
    expect(await codeOf((async () => placeOf(parts(more)))())).toBe('bad_path')
  },
)
