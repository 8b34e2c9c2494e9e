// Goes on where the attempt before it was lost.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { defineTask } from '../../../src/task.ts'
import { write } from './write.ts'

export default defineTask({
  name: 'pg.resume',
  summary: 'Writes rows, each once over all attempts',
  params: z.strictObject({ steps: z.int(), pause: z.int() }),
  result: z.strictObject({ from: z.int() }),
  state: z.strictObject({ next: z.int() }),
  lane: 'heavy',
  effect: 'write',
  retry: 'resume',
  async run(c) {
    const from = c.state?.next ?? 0
    for (let step = from; step < c.params.steps; step++) {
      await c.guard()
      await c.pg.query(write, [c.run.id, c.run.fence, step])
      await c.save({ next: step + 1 })
      await sleep(c.params.pause, undefined, { signal: c.signal })
    }
    return { from }
  },
  prove: async () => ({ ok: true, reason: '', evidence: {} }),
})
