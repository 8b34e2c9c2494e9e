// Whether the disk has room for the second copy that a full vacuum writes beside the first.
import { formatSize } from '@dbops/contract/duration'
import { Refused } from '@dbops/contract/failure'
import { localDisk } from '../health/local-disk.ts'
import { spaceOf, usageOf } from '../health/space.ts'
import type { Postgres } from '../task.ts'

export interface Room {
  /** The largest table with its indexes: its old files go only when the new ones stand. */
  neededBytes: number
  /** Null with the reason. */
  freeBytes: number | null
  reason: string | null
}

/** Free is the promised size of the disk (key `disk` of the target) less what databases and write-ahead log take, or what the file system of a local server has left. Refused: `no_room`. */
export async function room(pg: Postgres, tables: { bytes: number }[], disk: string | undefined, signal: AbortSignal): Promise<Room> {
  const neededBytes = Math.max(0, ...tables.map(({ bytes }) => bytes))
  // In a session of its own: the measuring sets a short time limit.
  await using eye = await pg.session()
  const { totalBytes, usedBytes, reason } = usageOf(await spaceOf(eye, undefined, signal), disk, disk ? null : await localDisk(eye))
  const freeBytes = totalBytes === null || usedBytes === null ? null : Math.max(0, totalBytes - usedBytes)
  if (freeBytes !== null && freeBytes < neededBytes)
    throw new Refused(`the disk has ${formatSize(freeBytes)} left, and the new copy may take ${formatSize(neededBytes)}`, {
      code: 'no_room',
      hint: 'a full disk stops the server: make room first, or repack the table by partitions',
    })
  return { neededBytes, freeBytes, reason }
}
