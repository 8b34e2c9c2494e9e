// Overfills a store on a 2 MB disk, then sweeps in the full store what a killed writer left: `fill-store.ts FOLDER PLACE`. Prints what it saw.
import { writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { failureOf } from '@dbops/contract/failure'
import { readManifest } from '../../src/manifest.ts'
import { openStore } from '../../src/open-store.ts'
import { voidAndSweep } from '../../src/sweep.ts'
import { artifactWriter } from '../../src/writer.ts'

const [folder, place] = process.argv.slice(2) as [string, string]
const store = await openStore('main', { url: pathToFileURL(folder).href, free: '1MiB' })
const list = async () => (await Array.fromAsync(store.list(''))).map(({ path }) => path)

const demanded = failureOf(
  await artifactWriter(store, place)
    .demand(1_500_000)
    .catch((error: unknown) => error),
)
const failed = failureOf(
  await artifactWriter(store, place)
    .write('metadata.dump', megabytes(3))
    .catch((error: unknown) => error),
)
const afterFailure = await list()

await mkdir(join(folder, place), { recursive: true })
try {
  writeFileSync(join(folder, place, 'metadata.dump'), Buffer.alloc(3_000_000))
} catch {
  // Full to the last page, as a writer leaves it that is killed before it can remove its file.
}
const freeBefore = await store.free()
const swept = await voidAndSweep(store, place, { by: '2', at: new Date('2026-11-01T06:00:00Z'), reason: 'superseded' })
const left = await list()
const note = await readManifest(store, place)
console.log(JSON.stringify({ demanded, failed, afterFailure, freeBefore, swept, left, note }))

async function* megabytes(count: number) {
  for (let n = 0; n < count * 16; n++) yield Buffer.alloc(65_536, 'x')
}
