// The parts of the task contract that can be wrong by themselves are seen to find what they look for; then the suite runs over a task that keeps it.
import { type AnyContext, taskOf } from '@dbops/contract/task'
import { endlessLists, refusedExamples, taskContract } from '@dbops/testing/task-contract'
import { expect, test } from 'vitest'
import { z } from 'zod'

test('an example that its schema refuses is named', () => {
  const params = z.strictObject({
    rows: z
      .int()
      .max(10)
      .meta({ examples: [3, 30] }),
    word: z.string().default('x'),
  })
  expect(refusedExamples(params)).toEqual(['rows: 30'])
})

test('a list without a limit is named, also inside', () => {
  const state = z.strictObject({
    done: z.array(z.string()),
    last: z.array(z.string()).max(5),
    deep: z.strictObject({ byTable: z.record(z.string(), z.int()) }).optional(),
  })
  expect(endlessLists(state)).toEqual(['state.done', 'state.deep.byTable'])
})

let rows = 0
const empties = taskOf<{ count(): Promise<number> }>()({
  name: 'pg.empty',
  summary: 'Delete all rows',
  params: z.strictObject({}),
  result: z.strictObject({ deleted: z.int() }),
  lane: 'light',
  effect: 'delete',
  run: async () => ({ deleted: rows }),
  prove: async c => ((await c.count()) ? { ok: false, reason: 'rows are left', evidence: {} } : { ok: true, reason: '', evidence: {} }),
})

taskContract('pg.empty', empties, {
  untouched: () => {
    rows = 3
    return { context: { count: async () => rows } as AnyContext & { count(): Promise<number> }, facts: { deleted: 3 } }
  },
})
