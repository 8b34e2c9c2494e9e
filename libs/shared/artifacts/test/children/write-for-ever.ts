// Writes a file of a place that never ends: `write-for-ever.ts FOLDER PLACE`.
import { pathToFileURL } from 'node:url'
import { openStore } from '../../src/open-store.ts'
import { artifactWriter } from '../../src/writer.ts'

const [folder, place] = process.argv.slice(2) as [string, string]
const store = await openStore('main', { url: pathToFileURL(folder).href, free: '1MiB' })
const writer = artifactWriter(store, place)
await writer.write('globals.sql', once())
await writer.write('metadata.dump', forEver())

async function* once() {
  yield Buffer.from('create role app;')
}
async function* forEver() {
  for (;;) {
    yield Buffer.alloc(64 * 1024, 'x')
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}
