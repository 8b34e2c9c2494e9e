// Finds the backup that an earlier attempt of the same run completed before it died, so that its successor need not make another.
import type { Problem } from '@dbops/contract/failure'
import { isDamage, type Manifest, manifestFile, readManifest } from './manifest.ts'
import { placesIn } from './place.ts'
import type { Store } from './store.ts'
import { artifactDamaged, faultsByContent } from './verify.ts'

/**
 * The newest sealed place of a run (`placeOfRun`) whose files are all there with their sizes and checksums; every byte is read.
 * What is sealed and damaged is told to `damaged`, and left as it is.
 */
export async function findSealed(
  store: Store,
  runPlace: string,
  { damaged = () => {}, signal }: { damaged?: (place: string, problem: Problem) => void; signal?: AbortSignal } = {},
): Promise<{ place: string; manifest: Manifest } | undefined> {
  const places = await Array.fromAsync(placesIn(store, runPlace))
  places.sort((a, b) => b.parts.fence - a.parts.fence)
  for (const { place, files } of places) {
    signal?.throwIfAborted()
    if (!files.some(({ path }) => path === `${place}/${manifestFile}`)) continue
    try {
      const found = await readManifest(store, place)
      if (found === 'none' || 'void' in found) continue
      const faults = await faultsByContent(store, place, found.manifest, signal)
      if (faults.length) throw artifactDamaged(store, place, faults)
      return { place, manifest: found.manifest }
    } catch (error) {
      if (!isDamage(error)) throw error
      damaged(place, error)
    }
  }
  return undefined
}
