// Whether a copy fits, asked before anything is written: a full disk would hit whoever else lives on it.
import { statfs } from 'node:fs/promises'
import { formatSize } from '@dbops/contract/duration'
import { Refused } from '@dbops/contract/failure'
import type { DumpManifest } from './dump-manifest.ts'

/** An empty cluster, and its log at the most (max_wal_size). */
const server = 1.1 * 2 ** 30
/** A dump from before sizes were written down: gzip makes rows ten times smaller at the most, as a rule. */
const perByteOfDump = 10
/** Indexes are in no figure of the manifest, and mostly smaller than their tables. */
const indexes = 2
/** Left for others. */
const reserve = 2 ** 28

/** Bytes that the check takes at its peak: the files of the dump, the tables with their indexes, the server itself; the copies of `--mutate`. */
export function roomNeeded({ files, facts }: Pick<DumpManifest, 'files' | 'facts'>, mutate: boolean): number {
  const dump = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const database = (facts.bytesOnDisk ?? dump * perByteOfDump) * indexes
  return Math.ceil(dump + server + database * (mutate ? 2 : 1))
}

/** Refused: `scratch_full`, with both numbers. Resolves with the bytes that are free. */
export async function demandRoom(place: string, needed: number): Promise<number> {
  const { bavail, bsize } = await statfs(place)
  const free = bavail * bsize
  if (free >= needed + reserve) return free
  throw new Refused(
    `${place} has ${formatSize(free)} left; ${formatSize(needed)} are needed for the copy and ${formatSize(reserve)} must stay free`,
    {
      code: 'scratch_full',
      hint: 'make room there, or set TMPDIR of the maintainer to a folder on a larger disk',
    },
  )
}
