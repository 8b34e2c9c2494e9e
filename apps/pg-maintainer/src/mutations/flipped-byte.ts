// One bit of the dump is another, as on a disk that forgets.
import { randomInt } from 'node:crypto'
import { dumpFile } from '../dump/restore-lines.ts'
import { refetched } from '../restore/mutated-file.ts'
import type { Mutation } from '../restore/mutation.ts'

export const flippedByte: Mutation = {
  name: 'flipped-byte',
  about: 'a dump with one wrong byte',
  level: 'files',
  async apply(copy) {
    const size = copy.manifest.files.find(({ file }) => file === dumpFile)?.bytes
    if (!size) return undefined
    const place = randomInt(size)
    const faults = await refetched(copy, dumpFile, (chunk, at) => {
      if (place < at || place >= at + chunk.byteLength) return chunk
      const changed = Uint8Array.from(chunk)
      changed[place - at]! ^= 1
      return changed
    })
    return { what: `a bit of byte ${place} of ${dumpFile} is flipped`, copy: { fileFaults: faults } }
  },
}
