// A store in a temporary folder that goes with its test, and what the tests put into it.
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Manifest, ManifestHead } from '../src/manifest.ts'
import { openStore } from '../src/open-store.ts'
import { type PlaceParts, parsePlace, placeOf } from '../src/place.ts'
import type { Store } from '../src/store.ts'
import { type ArtifactWriter, artifactWriter } from '../src/writer.ts'

export async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'dbops-artifacts-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export const storeIn = (folder: string) => openStore('main', { url: pathToFileURL(folder).href, free: '1MiB' })

export async function freshStore(): Promise<{ store: Store; root: string }> {
  const root = await freshFolder()
  return { store: await storeIn(root), root }
}

export const bornAt = new Date('2026-11-01T05:00:00Z')

export const parts = (more: Partial<PlaceParts> = {}): PlaceParts => ({
  environment: 'test',
  engine: 'pg',
  target: 'core',
  kind: 'dump',
  bornAt,
  run: randomUUID(),
  fence: 1,
  ...more,
})

export function headOf(place: string): ManifestHead {
  const { run, fence, environment, engine, target, kind } = parsePlace(place)!
  return {
    formatVersion: 1,
    id: randomUUID(),
    run,
    fence,
    task: 'pg.dump',
    environment,
    engine,
    target,
    kind,
    name: 'metadata',
    operation: 'pg.dump:metadata',
    bornAt: bornAt.toISOString(),
    startedAt: bornAt.toISOString(),
    finishedAt: bornAt.toISOString(),
    result: { rows: 3 },
    evidence: {},
  }
}

/** Writes one file per entry into a place; not sealed. */
export async function written(
  store: Store,
  place: string,
  files: Record<string, string> = { 'metadata.dump': 'rows' },
): Promise<ArtifactWriter> {
  const writer = artifactWriter(store, place)
  for (const [file, text] of Object.entries(files)) await writer.write(file, chunks(text))
  return writer
}

export async function sealed(
  store: Store,
  at: Partial<PlaceParts> = {},
  files?: Record<string, string>,
): Promise<{ place: string; manifest: Manifest }> {
  const place = placeOf(parts(at))
  const writer = await written(store, place, files)
  const manifest = writer.manifest(headOf(place))
  if ((await writer.seal(manifest)) !== 'sealed') throw new Error(`${place} was taken`)
  return { place, manifest }
}

export async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

export const voidNote = JSON.stringify({ void: true, by: '2', at: bornAt.toISOString(), reason: 'superseded' })

export const paths = async (store: Store, folder = '') => (await Array.fromAsync(store.list(folder))).map(({ path }) => path)

export async function text(source: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(source)).toString('utf8')
}

/** The code of the Problem that `work` ends with; fails when it ends well. */
export async function codeOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return (error as { code?: unknown }).code ?? error
  }
  return 'no error'
}
