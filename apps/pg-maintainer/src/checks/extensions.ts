// Every extension is there in the version that the original had.
import { type Check, type Copy, NotChecked } from '../restore/check.ts'
import { differences } from '../restore/compare.ts'
import { majorOf } from '../restore/dump-manifest.ts'
import { neverRestored } from '../restore/table-of-contents.ts'

const extensionsHere = `SELECT extname AS name, extversion AS version FROM pg_extension`

export const extensions: Check = {
  name: 'extensions',
  about: 'every extension is there in the version of the original',
  level: 'database',
  async check(copy) {
    const faults = await look(copy)
    const missing = copy.leftOut.filter(name => !neverRestored.includes(name))
    if (!faults.length && missing.length)
      throw new NotChecked(`not installed beside this maintainer, and left out with all that is theirs: ${missing.join(', ')}`)
    return faults
  },
  control: copy => look({ ...copy, manifest: { ...copy.manifest, extensions: [{ name: 'dbops_control', version: '1.0' }] } }),
}

async function look({ pg, manifest, server, leftOut }: Copy): Promise<string[]> {
  // A newer server brings newer ones.
  const sameMajor = majorOf(manifest.server.version) === server.major
  return differences(
    manifest.extensions.filter(({ name }) => !leftOut.includes(name)),
    await pg.query<{ name: string; version: string }>(extensionsHere),
    ({ name }) => name,
    (was, is) => {
      if (!is) return `extension ${was.name} is not in the copy`
      return sameMajor && is.version !== was.version ? `extension ${was.name} is version ${is.version}, not ${was.version}` : undefined
    },
  )
}
