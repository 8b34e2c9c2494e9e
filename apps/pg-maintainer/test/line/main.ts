// pg-maintainer as it is, with the tasks of this folder in place of its own: each of them makes one promise of the run protocol visible in the database.
import { startMaintainer } from '@dbops/runtime/maintainer'
import { postgres } from '../../src/postgres.ts'

await startMaintainer({ app: 'pg-maintainer', driver: postgres, folder: import.meta.dirname })
