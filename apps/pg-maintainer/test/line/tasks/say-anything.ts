// Says what a database may hold and the ledger cannot: in facts, evidence, progress, lines, its state, or its failure.
import { Permanent } from '@dbops/contract/failure'
import { z } from 'zod'
import { defineTask } from '../../../src/task.ts'

const odd = 'a\0b \ud800'

export default defineTask({
  name: 'pg.say-anything',
  summary: 'Says what no ledger can hold',
  params: z.strictObject({ how: z.enum(['well', 'fails', 'keeps']) }),
  result: z.strictObject({ found: z.array(z.record(z.string(), z.string())) }),
  state: z.strictObject({ after: z.string() }),
  lane: 'heavy',
  effect: 'write',
  async run(c) {
    c.progress(1, 1, 'rows', odd)
    c.log(`a table named ${odd}`, { table: odd })
    // Cut at its length, a line ends in the middle of a character.
    c.log(`x${'\u{1f5c4}'.repeat(4_000)}`)
    if (c.params.how === 'keeps') await c.save({ after: odd })
    if (c.params.how === 'fails') throw new Permanent(`no such row: ${odd}`, { hint: odd })
    return { found: [{ [odd]: odd }] }
  },
  prove: () => Promise.resolve({ ok: true, reason: odd, evidence: { odd } }),
})
