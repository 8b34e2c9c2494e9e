// redis-inspector: takes the readings of Redis targets, carries out the tasks that look into them, and reads the platform's streams.
import { maintain } from '@dbops/runtime/maintainer'
import { startService } from '@dbops/runtime/service'
import { ingesting } from './ingest.ts'
import { redis } from './redis.ts'

await startService('redis-inspector', async service => {
  await maintain(service, { app: 'redis-inspector', driver: redis, folder: import.meta.dirname })
  ingesting(service)
})
