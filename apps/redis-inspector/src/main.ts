// redis-inspector: takes the readings of Redis targets and carries out the tasks that look into them.
import { startMaintainer } from '@dbops/runtime/maintainer'
import { redis } from './redis.ts'

await startMaintainer({ app: 'redis-inspector', driver: redis, folder: import.meta.dirname })
