// The peer: BullMQ alone, in a process of its own, with the options that our queue has.
import { Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { tell } from './tell.ts'

const worker = new Worker<{ run: string }>('bench', job => Promise.resolve(tell(job.data.run)), {
  connection: new Redis(process.env['DBOPS_REDIS_URL']!, { maxRetriesPerRequest: null }),
  concurrency: 16,
  maxStalledCount: 0,
})
await worker.waitUntilReady()
process.send?.('ready')
process.once('SIGTERM', () => process.exit(0))
