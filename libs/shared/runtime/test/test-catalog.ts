// A catalogue of two tasks for the tests of the configuration, so that they say what they rest on.
import type { Catalog, TaskEntry } from '@dbops/catalog/catalog'
import { ref } from '@dbops/contract/task'
import { z } from 'zod'

const entry = (name: string, engine: string, params: z.ZodObject, on: TaskEntry['on'] = 'target'): TaskEntry => ({
  name,
  engine,
  summary: name,
  lane: 'heavy',
  locks: { shared: ['target'], exclusive: [] },
  timeout: '30m',
  deadline: '2h',
  retry: 'restart',
  attempts: 3,
  effect: 'write',
  emits: { succeeded: ['run_succeeded'], failed: 'run_failed' },
  on,
  approval: 'never',
  produces: null,
  recovers: false,
  plans: true,
  params: z.toJSONSchema(params, { io: 'input' }) as TaskEntry['params'],
  result: {},
})

export const testCatalog: Catalog = {
  tasks: [
    entry('pg.vacuum', 'pg', z.strictObject({ tables: z.array(z.string()).min(1), freeze: z.boolean().default(false) })),
    entry('pg.dump', 'pg', z.strictObject({ dump: ref('dumps') })),
    {
      ...entry('pg.purge', 'pg', z.strictObject({ policy: ref('purges') })),
      emits: { succeeded: ['cleanup_completed', 'outbox_cleanup_completed'], failed: 'cleanup_failed' },
    },
    { ...entry('pg.rewrite', 'pg', z.strictObject({})), approval: 'always' },
    entry('ops.tidy', 'ops', z.strictObject({}), 'none'),
  ],
  probes: [],
  signals: [],
  channels: ['console', 'webhook'],
}
