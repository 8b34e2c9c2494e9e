// BullMQ alone, as its documentation has it: a worker with every default, which takes a job and never ends it.
import { Worker } from 'bullmq'

const worker = new Worker('recovery', async () => new Promise<never>(() => undefined), { connection: { url: process.argv[2]! } })
worker.on('active', () => process.send!('active'))
