// Writes an artifact slowly, and may be held between its manifest and its end: while `hold` is in the table `holds`, its session cannot close.
import { setTimeout as sleep } from 'node:timers/promises'
import { ref } from '@dbops/contract/task'
import { z } from 'zod'
import { defineTask } from '../../../src/task.ts'

export default defineTask({
  name: 'pg.make',
  summary: 'Leaves an artifact',
  params: z.strictObject({ dump: ref('dumps'), chunks: z.int(), pause: z.int() }),
  result: z.strictObject({ bytes: z.int() }),
  lane: 'heavy',
  locks: { exclusive: ['dump:{dump}'] },
  produces: 'dump',
  emits: { succeeded: 'backup_completed', failed: 'backup_failed' },
  async run(c) {
    const { chunks, pause } = c.params
    async function* source() {
      for (let i = 0; i < chunks; i++) {
        yield Buffer.alloc(1024, i)
        await sleep(pause, undefined, { signal: c.signal })
      }
    }
    const { bytes } = await c.artifact.write('made.bin', source(), c.signal)
    return { bytes }
  },
})
