// An extension is of another version.
import { escapeLiteral } from 'pg'
import { plant } from '../restore/check.ts'
import { majorOf } from '../restore/dump-manifest.ts'
import type { Mutation } from '../restore/mutation.ts'

export const extensionChanged: Mutation = {
  name: 'extension-changed',
  about: 'an extension of another version',
  level: 'database',
  async apply({ pg, manifest, server, leftOut }) {
    const extension = manifest.extensions.find(({ name }) => !leftOut.includes(name))
    // In a newer server another version is right.
    if (!extension || majorOf(manifest.server.version) !== server.major) return undefined
    await plant(pg, `UPDATE pg_extension SET extversion = '0.0' WHERE extname = ${escapeLiteral(extension.name)}`)
    return { what: `extension ${extension.name} is version 0.0` }
  },
}
