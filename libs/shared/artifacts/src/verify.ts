// Compares what a manifest says with what lies in the store. It returns what is wrong, one sentence per file; nothing wrong is an empty list.
import { createHash } from 'node:crypto'
import { Problem } from '@dbops/contract/failure'
import { abortable } from './abortable.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import type { Store, StoredFile } from './store.ts'

/** By a listing alone: every file is there and has its size. */
export function faultsBySize(place: string, files: readonly ManifestFile[], stored: readonly StoredFile[]): string[] {
  const sizes = new Map(stored.map(({ path, bytes }) => [path, bytes]))
  return files.flatMap(({ file, bytes }) => {
    const found = sizes.get(`${place}/${file}`)
    if (found === undefined) return [`${file} is missing`]
    return found === bytes ? [] : [`${file} has ${found} bytes, not ${bytes}`]
  })
}

/** By reading every byte: sizes first, because they are free, then the checksums. */
export async function faultsByContent(store: Store, place: string, { files }: Manifest, signal?: AbortSignal): Promise<string[]> {
  const bySize = faultsBySize(place, files, await Array.fromAsync(store.list(place)))
  if (bySize.length) return bySize
  const faults: string[] = []
  for (const { file, sha256 } of files) {
    const hash = createHash('sha256')
    for await (const chunk of abortable(store.get(`${place}/${file}`), signal)) hash.update(chunk)
    if (hash.digest('hex') !== sha256) faults.push(`${file} has another checksum than when it was written`)
  }
  return faults
}

export const artifactDamaged = (store: Store, place: string, faults: readonly string[]) =>
  new Problem(`the backup at ${store.location}/${place} is damaged: ${faults.join('; ')}`, {
    code: 'artifact_damaged',
    hint: 'it is neither used nor deleted; look at the disk, and take a new backup',
  })
