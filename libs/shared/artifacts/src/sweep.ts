// Removes what attempts left behind that did not come to their manifest. The name of the manifest is taken first, so that nobody can seal files that go.
import { isDamage, manifestFile, readManifest, toJson, type VoidNote } from './manifest.ts'
import { type Place, placesIn } from './place.ts'
import type { Store } from './store.ts'

export interface Sweeper {
  /** The sweeping attempt's fence, or the name of the service. */
  by: string
  at: Date
  reason: string
}

export interface Swept {
  files: number
  bytes: number
}

/**
 * Voids a place, then deletes its files; the note stays. May die anywhere and be called again.
 * `sealed` and `damaged`: a manifest stands there, readable or not, and nothing was touched.
 */
export async function voidAndSweep(store: Store, place: string, { by, at, reason }: Sweeper): Promise<'sealed' | 'damaged' | Swept> {
  const note: VoidNote = { void: true, by, at: at.toISOString(), reason }
  if (!(await store.putExclusive(`${place}/${manifestFile}`, toJson(note)))) {
    const standing = await standingAt(store, place)
    if (standing !== 'void') return standing
  }
  const swept: Swept = { files: 0, bytes: 0 }
  for await (const { path, bytes } of store.list(place)) {
    if (path === `${place}/${manifestFile}`) continue
    await store.remove(path)
    swept.files++
    swept.bytes += bytes
  }
  return swept
}

/** How long a note stays after its place was voided: far beyond any run's deadline, so that no sleeper wakes up to a free name. */
export const voidKept = 7 * 24 * 3_600_000

export interface SweepScope {
  /** Folder of the store to look below; `''`: all of it. */
  prefix: string
  /** Whether the ledger still has an attempt in hand under this fence. An answer that fails ends the sweep. */
  isLive: (run: string, fence: number) => Promise<boolean>
  /** Places in which something was written after this are left for a later sweep. */
  olderThan: Date
  by: string
  now: Date
  signal?: AbortSignal
}

export interface Leftover extends Swept {
  place: string
  run: string
  fence: number
  reason: string
  /** The place goes altogether, with the note of an earlier sweep. */
  whole: boolean
}

/** What `sweepLeftovers` would delete, with the reason for each: the dry run. */
export async function* findLeftovers(store: Store, scope: SweepScope): AsyncGenerator<Leftover> {
  for await (const found of placesIn(store, scope.prefix)) {
    scope.signal?.throwIfAborted()
    const why = await reasonToSweep(store, found, scope)
    if (!why) continue
    const left = found.files.filter(({ path }) => path !== `${found.place}/${manifestFile}`)
    const { run, fence } = found.parts
    yield { place: found.place, run, fence, ...why, files: left.length, bytes: left.reduce((sum, { bytes }) => sum + bytes, 0) }
  }
}

/** Deletes what `findLeftovers` finds and yields each place once it is gone; one that was sealed in between stays and is not told. */
export async function* sweepLeftovers(store: Store, scope: SweepScope): AsyncGenerator<Leftover> {
  for await (const leftover of findLeftovers(store, scope)) {
    const { place, reason, whole } = leftover
    const swept = await voidAndSweep(store, place, { by: scope.by, at: scope.now, reason })
    if (typeof swept === 'string') continue
    if (whole) await store.remove(`${place}/${manifestFile}`)
    yield leftover
  }
}

async function reasonToSweep(
  store: Store,
  { place, parts, files }: Place,
  { isLive, olderThan, now }: SweepScope,
): Promise<{ reason: string; whole: boolean } | undefined> {
  const lastWrite = files.map(({ modifiedAt }) => modifiedAt).reduce((a, b) => (a > b ? a : b))
  const marker = files.find(({ path }) => path === `${place}/${manifestFile}`)
  if (!marker) {
    if (lastWrite >= olderThan || (await isLive(parts.run, parts.fence))) return undefined
    return { reason: `no manifest, fence ${parts.fence} is not live, last written ${lastWrite.toISOString()}`, whole: false }
  }
  const note = await voidNoteAt(store, place)
  if (!note) return undefined
  const since = marker.modifiedAt
  if (now.getTime() - since.getTime() > voidKept && lastWrite < olderThan && !(await isLive(parts.run, parts.fence)))
    return { reason: `void since ${since.toISOString()}: ${note.reason}`, whole: true }
  if (files.length > 1) return { reason: `void since ${since.toISOString()} and not empty: ${note.reason}`, whole: false }
  return undefined
}

async function voidNoteAt(store: Store, place: string): Promise<VoidNote | undefined> {
  try {
    const found = await readManifest(store, place)
    return found !== 'none' && 'void' in found ? found.void : undefined
  } catch (error) {
    if (isDamage(error)) return undefined
    throw error
  }
}

async function standingAt(store: Store, place: string): Promise<'void' | 'sealed' | 'damaged'> {
  try {
    const found = await readManifest(store, place)
    // `none`: another sweep has just removed the place altogether, note and all.
    return found === 'none' || 'void' in found ? 'void' : 'sealed'
  } catch (error) {
    if (isDamage(error)) return 'damaged'
    throw error
  }
}
