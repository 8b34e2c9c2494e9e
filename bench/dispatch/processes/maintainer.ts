// pg-maintainer as it is, with the tasks of this folder in place of its own: they tell the moment at which they begin, and do nothing.
import { postgres } from '@dbops/pg-maintainer/postgres'
import { startMaintainer } from '@dbops/runtime/maintainer'

await startMaintainer({ app: 'pg-maintainer', driver: postgres, folder: import.meta.dirname })
