// Begins, on no target: what remains is the run itself, recorded, leased and fenced.
import { defineTask } from '@dbops/pg-maintainer/task'
import { z } from 'zod'
import { tell } from '../tell.ts'

export default defineTask({
  name: 'pg.start',
  summary: 'Tells that it has begun',
  params: z.strictObject({}),
  result: z.strictObject({}),
  lane: 'light',
  on: 'none',
  run(c) {
    tell(c.run.id)
    return Promise.resolve({})
  },
})
