// The bytes that were read from the store are those that were written to it.
import type { Check } from '../restore/check.ts'
import { faultsOfFile } from '../restore/fetch.ts'

export const checksums: Check = {
  name: 'checksums',
  about: 'every file has the size and the checksum of its manifest',
  level: 'files',
  check: ({ fileFaults }) => Promise.resolve(fileFaults),
  control: ({ manifest }) => {
    const [file] = manifest.files
    const flipped = file!.sha256.replace(/^./, digit => (digit === '0' ? '1' : '0'))
    return Promise.resolve(faultsOfFile(file!, { bytes: file!.bytes, sha256: flipped }))
  },
}
