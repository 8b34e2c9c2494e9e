// Long work elsewhere: submitted, parked, looked at again.
import { z } from 'zod'
import { defineTask } from '../../../src/task.ts'

export default defineTask({
  name: 'pg.outside',
  summary: 'Parks once',
  params: z.strictObject({ ms: z.int() }),
  result: z.strictObject({ attempt: z.int() }),
  state: z.strictObject({ submitted: z.boolean() }),
  lane: 'heavy',
  async run(c) {
    if (!c.state) await c.park(new Date(Date.now() + c.params.ms), { submitted: true })
    return { attempt: c.run.attempt }
  },
})
