// Stands in for pg.vacuum, so that a command goes its whole way (catalogue, policy, locks, a session in the target) up to a handler that tells when it begins.
import { defineTask } from '@dbops/pg-maintainer/task'
import { z } from 'zod'
import { tell } from '../tell.ts'

export default defineTask({
  name: 'pg.vacuum',
  summary: 'Tells that it has begun',
  params: z.looseObject({}),
  result: z.strictObject({}),
  lane: 'heavy',
  run(c) {
    tell(c.run.id)
    return Promise.resolve({})
  },
})
