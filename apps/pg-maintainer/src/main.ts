// pg-maintainer: carries out the tasks and takes the readings of PostgreSQL targets.
import { startMaintainer } from '@dbops/runtime/maintainer'
import { postgres } from './postgres.ts'

await startMaintainer({ app: 'pg-maintainer', driver: postgres, folder: import.meta.dirname })
