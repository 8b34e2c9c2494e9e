// Creates one large file after the other, exclusively: `seal-for-ever.ts FOLDER BYTES`.
import { pathToFileURL } from 'node:url'
import { openStore } from '../../src/open-store.ts'

const [folder, bytes] = process.argv.slice(2) as [string, string]
const store = await openStore('main', { url: pathToFileURL(folder).href, free: '1MiB' })
const content = Buffer.alloc(Number(bytes), 'x')
for (let n = 0; ; n++) await store.putExclusive(`sealed/${n}/manifest.json`, content)
