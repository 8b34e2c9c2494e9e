// Fetches a file of the backup once more, with a fault in it: from the scratch folder into nothing, through the same eyes that read it from the store.
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Copy } from './check.ts'
import { fetchFiles } from './fetch.ts'

/** `change` gets each chunk, its place in the file and the file's size. Resolves with the faults that were seen. */
export async function refetched(
  { manifest, server }: Copy,
  name: string,
  change: (chunk: Uint8Array, at: number, size: number) => Uint8Array,
): Promise<string[]> {
  const file = manifest.files.find(one => one.file === name)!
  const read = async function* () {
    let at = 0
    for await (const chunk of createReadStream(join(server.folder, name)) as AsyncIterable<Uint8Array>) {
      yield change(chunk, at, file.bytes)
      at += chunk.byteLength
    }
  }
  const folder = await mkdtemp(join(server.folder, 'mutated-'))
  try {
    return await fetchFiles([file], read, folder, { signal: new AbortController().signal, tell: () => undefined })
  } finally {
    await rm(folder, { recursive: true })
  }
}
