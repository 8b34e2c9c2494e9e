// Brings the files of a backup out of its store into the scratch folder, hashed as they pass, and says which are not what their manifest says.
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Problem } from '@dbops/contract/failure'
import type { DumpManifest } from './dump-manifest.ts'

type File = DumpManifest['files'][number]

/** One chunk in hand at a time. `tell` hears of each chunk's size. Resolves with the faults, an empty list when all is as it was written. */
export async function fetchFiles(
  files: readonly File[],
  read: (file: string) => AsyncIterable<Uint8Array>,
  folder: string,
  { signal, tell }: { signal: AbortSignal; tell: (bytes: number) => void },
): Promise<string[]> {
  const faults: string[] = []
  for (const file of files) {
    const hash = createHash('sha256')
    let bytes = 0
    const passing = async function* () {
      for await (const chunk of read(file.file)) {
        hash.update(chunk)
        bytes += chunk.byteLength
        tell(chunk.byteLength)
        yield chunk
      }
    }
    const to = join(folder, file.file)
    try {
      await pipeline(Readable.from(passing()), createWriteStream(to, { mode: 0o600 }), { signal })
      faults.push(...faultsOfFile(file, { bytes, sha256: hash.digest('hex') }))
    } catch (error) {
      signal.throwIfAborted()
      // A store that is away says nothing of the backup; a file that is gone does.
      if (!(error instanceof Problem) || error.code !== 'file_missing') throw error
      await rm(to, { force: true })
      faults.push(`${file.file} is not in the store`)
    }
  }
  return faults
}

export function faultsOfFile(expected: File, found: Pick<File, 'bytes' | 'sha256'>): string[] {
  if (found.bytes !== expected.bytes) return [`${expected.file} has ${found.bytes} bytes, not ${expected.bytes}`]
  return found.sha256 === expected.sha256 ? [] : [`${expected.file} has another checksum than when it was written`]
}
