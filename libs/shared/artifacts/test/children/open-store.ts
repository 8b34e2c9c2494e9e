// Opens a store and prints the failure: `open-store.ts FOLDER`.
import { pathToFileURL } from 'node:url'
import { failureOf } from '@dbops/contract/failure'
import { openStore } from '../../src/open-store.ts'

const opened = openStore('main', { url: pathToFileURL(process.argv[2]!).href, free: '1MiB' })
console.log(JSON.stringify(await opened.then(() => null, failureOf)))
