// Writes the artifact of one attempt: its files, what is to be said about them, and at last the manifest that makes them a backup.
import { Problem } from '@dbops/contract/failure'
import type { Artifact } from '@dbops/contract/task'
import {
  asJson,
  checkDescription,
  type Manifest,
  type ManifestFile,
  type ManifestHead,
  manifest,
  manifestFile,
  partOfManifest,
  readManifest,
  toJson,
} from './manifest.ts'
import { demandSpace } from './space.ts'
import type { Store } from './store.ts'
import { faultsBySize } from './verify.ts'

export interface ArtifactWriter extends Artifact {
  readonly place: string
  /** What has been written so far. */
  readonly files: readonly ManifestFile[]
  /** The manifest as it would be sealed now. Throws `manifest_invalid` when the head has not its shape or nothing was written. */
  manifest(head: ManifestHead): Manifest
  /**
   * Makes the backup exist, once all its files are there with their sizes (else `artifact_incomplete`).
   * `taken`: the place was voided, or sealed by another; this attempt is superseded. Called again after a lost answer, it says `sealed` again.
   */
  seal(manifest: Manifest): Promise<'sealed' | 'taken'>
}

export function artifactWriter(store: Store, place: string): ArtifactWriter {
  const files: ManifestFile[] = []
  let said: Record<string, unknown> = {}
  let writing = 0
  let closed = false

  /** Whether the name of the manifest is ours, somebody else's, or free. */
  const holder = async (id: string): Promise<'us' | 'another' | 'nobody'> => {
    const found = await readManifest(store, place)
    if (found === 'none') return 'nobody'
    return 'manifest' in found && found.manifest.id === id ? 'us' : 'another'
  }

  return {
    place,
    files,
    async write(file, source, signal) {
      if (closed) throw bug(`${file} is written after ${place} was sealed`)
      if (file === manifestFile) throw bug(`${manifestFile} is the runner's name, not a task's`)
      writing++
      try {
        const written = await store.put(`${place}/${file}`, source, signal)
        files.push({ file, ...written })
        return written
      } finally {
        writing--
      }
    },
    read: file => store.get(`${place}/${file}`),
    describe(more) {
      const all = added(said, asJson(more))
      checkDescription(all)
      said = all
    },
    demand: bytes => demandSpace(store, bytes),
    manifest(head) {
      const parsed = manifest.safeParse(asJson({ ...head, ...partOfManifest(said), files }))
      if (parsed.success) return parsed.data
      const issue = parsed.error.issues[0]!
      throw new Problem(`the manifest of ${place} is malformed: ${issue.path.join('.')}: ${issue.message}`, {
        code: 'manifest_invalid',
        hint: files.length ? 'this is a bug' : 'the task wrote no file; a backup has at least one',
      })
    },
    async seal(whole) {
      if (writing) throw bug(`${place} is sealed while ${writing} of its files are still written`)
      closed = true
      const faults = faultsBySize(place, whole.files, await Array.fromAsync(store.list(place)))
      if (faults.length) {
        // A sweep names its place before it deletes: where files are gone, its note says whose doing that is.
        if ((await holder(whole.id)) === 'another') return 'taken'
        throw new Problem(`${store.location}/${place} cannot be sealed: ${faults.join('; ')}`, {
          code: 'artifact_incomplete',
          hint: 'something besides this system removes or changes files in the store',
        })
      }
      if (await store.putExclusive(`${place}/${manifestFile}`, toJson(whole))) return 'sealed'
      return (await holder(whole.id)) === 'us' ? 'sealed' : 'taken'
    },
  }
}

/** Lists grow, records gain keys, anything else is replaced. */
function added(before: Record<string, unknown>, more: Record<string, unknown>): Record<string, unknown> {
  const result = { ...before }
  for (const [key, value] of Object.entries(more)) {
    const old = result[key]
    if (Array.isArray(old) && Array.isArray(value)) result[key] = [...(old as unknown[]), ...(value as unknown[])]
    else if (isRecord(old) && isRecord(value)) result[key] = { ...old, ...value }
    else result[key] = value
  }
  return result
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const bug = (message: string) => new Problem(message, { code: 'artifact_misuse', hint: 'this is a bug of the task or its runner' })
