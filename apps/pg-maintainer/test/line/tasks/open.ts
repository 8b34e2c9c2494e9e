// Leaves the world different while it runs, and puts it back when it could not end well.
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { defineTask } from '../../../src/task.ts'

const setOpen = 'UPDATE public.world SET open = $1, by = $2'

export default defineTask({
  name: 'pg.open',
  summary: 'Opens, waits, closes',
  params: z.strictObject({ pause: z.int(), fail: z.boolean().default(false) }),
  result: z.strictObject({}),
  state: z.strictObject({ opened: z.boolean() }),
  lane: 'heavy',
  effect: 'write',
  locks: { exclusive: ['window'] },
  async run(c) {
    await c.save({ opened: true })
    await c.guard()
    await c.pg.query(setOpen, [true, c.run.fence])
    await sleep(c.params.pause, undefined, { signal: c.signal })
    if (c.params.fail) throw new Error('it went wrong in the middle')
    await c.guard()
    await c.pg.query(setOpen, [false, c.run.fence])
    return {}
  },
  prove: async () => ({ ok: true, reason: '', evidence: {} }),
  async recover(c) {
    if (c.state?.['opened']) await c.pg.query(setOpen, [false, c.run.fence])
  },
})
