// As `write`, but never repeated by itself once it has begun.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { defineTask } from '../../../src/task.ts'
import { write } from './write.ts'

export default defineTask({
  name: 'pg.once',
  summary: 'Writes one row and waits',
  params: z.strictObject({ pause: z.int() }),
  result: z.strictObject({}),
  lane: 'heavy',
  effect: 'write',
  retry: 'never',
  async run(c) {
    await c.guard()
    await c.pg.query(write, [c.run.id, c.run.fence, 0])
    await sleep(c.params.pause, undefined, { signal: c.signal })
    return {}
  },
  prove: async () => ({ ok: true, reason: '', evidence: {} }),
})
