// Writes `steps` rows, one every `pause` ms, each after a guard: what an attempt does, and under which fence, is seen from outside.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { defineTask } from '../../../src/task.ts'

export const write = 'INSERT INTO public.effects (run, fence, step) VALUES ($1, $2, $3)'

export default defineTask({
  name: 'pg.write',
  summary: 'Writes rows slowly',
  params: z.strictObject({ steps: z.int(), pause: z.int(), lie: z.boolean().default(false) }),
  result: z.strictObject({ written: z.int() }),
  lane: 'heavy',
  effect: 'write',
  async run(c) {
    for (let step = 0; step < c.params.steps; step++) {
      await c.guard()
      await c.pg.query(write, [c.run.id, c.run.fence, step])
      await sleep(c.params.pause, undefined, { signal: c.signal })
    }
    return { written: c.params.steps }
  },
  async prove(c, { written }) {
    const [row] = await c.pg.query<{ rows: number }>('SELECT count(*)::int AS rows FROM public.effects WHERE fence = $1', [c.run.fence])
    const wanted = c.params.lie ? written + 1 : written
    return { ok: row!.rows === wanted, reason: `${row!.rows} of ${wanted} rows are there`, evidence: row! }
  },
})
