// What a run is about, by the parameters that it was given: those that say how are none of it.
import { taskNamed } from '@dbops/catalog/catalog'
import { isNamed, operationOf } from '@dbops/runtime/operation'
import { expect, test } from 'vitest'

test.each([
  ['redis.memory-review', {}, 'redis.memory-review', true],
  ['pg.dump', { dump: 'metadata' }, 'pg.dump:metadata', true],
  ['redis.key-review', { share: 25, budget: '1h' }, 'redis.key-review', true],
  ['redis.key-review', { share: 5, budget: '2h' }, 'redis.key-review', true],
])('%s with %j is %s', (name, params, operation, named) => {
  const task = taskNamed(name)!
  expect([operationOf(task, params), isNamed(task, params)]).toEqual([operation, named])
})

test('what is looked at is part of it, whatever else is said of how', () => {
  const task = taskNamed('redis.key-review')!
  const [a, b, c] = [{ sample: 1_000, share: 25 }, { share: 50, sample: 1_000 }, { sample: 2_000 }].map(params => operationOf(task, params))
  expect([/^redis\.key-review:[0-9a-f]{6}$/.test(a!), a === b, a === c, isNamed(task, { sample: 1_000 })]).toEqual([
    true,
    true,
    false,
    false,
  ])
})
