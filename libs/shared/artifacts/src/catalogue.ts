// The backups that a store holds, read from the store alone: what has a manifest is one, nothing else is.
import type { Problem } from '@dbops/contract/failure'
import { isDamage, type Manifest, manifestFile, readManifest } from './manifest.ts'
import { placesIn } from './place.ts'
import type { Store } from './store.ts'
import { artifactDamaged, faultsBySize } from './verify.ts'

/** `bytes`: of its files together, without the manifest. */
export type Backup =
  | { place: string; location: string; manifest: Manifest; bytes: number; problem?: undefined }
  | { place: string; location: string; problem: Problem; manifest?: undefined }

/** Every place below `folder` that was sealed. One that cannot be read, or lacks a file, is listed with its problem and stops nobody. */
export async function* listBackups(store: Store, folder = ''): AsyncGenerator<Backup> {
  for await (const { place, files } of placesIn(store, folder)) {
    if (!files.some(({ path }) => path === `${place}/${manifestFile}`)) continue
    const location = `${store.location}/${place}`
    try {
      const found = await readManifest(store, place)
      if (found === 'none' || 'void' in found) continue
      const { manifest } = found
      const faults = faultsBySize(place, manifest.files, files)
      if (faults.length) throw artifactDamaged(store, place, faults)
      yield { place, location, manifest, bytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0) }
    } catch (error) {
      if (!isDamage(error)) throw error
      yield { place, location, problem: error }
    }
  }
}
