// The dump ends too early, as after a lost connection to the store.
import { dumpFile } from '../dump/restore-lines.ts'
import { refetched } from '../restore/mutated-file.ts'
import type { Mutation } from '../restore/mutation.ts'

export const truncated: Mutation = {
  name: 'truncated',
  about: 'a dump that ends too early',
  level: 'files',
  async apply(copy) {
    const faults = await refetched(copy, dumpFile, (chunk, at, size) => chunk.subarray(0, Math.max(0, Math.floor(size / 2) - at)))
    return { what: `the second half of ${dumpFile} is missing`, copy: { fileFaults: faults } }
  },
}
