// A sealed manifest as its row in the catalogue of backups.
import type { Manifest } from '@dbops/artifacts/manifest'
import type { Store } from '@dbops/artifacts/store'
import type { Sealed } from '@dbops/ledger/artifacts'

export const sealedRow = (store: Pick<Store, 'name' | 'location'>, place: string, m: Manifest): Sealed => ({
  id: m.id,
  run: m.run,
  fence: m.fence,
  environment: m.environment,
  engine: m.engine,
  target: m.target,
  kind: m.kind,
  name: m.name,
  operation: m.operation,
  store: store.name,
  place,
  location: `${store.location}/${place}`,
  bytes: m.files.reduce((sum, file) => sum + file.bytes, 0),
  files: m.files.length,
  createdAt: new Date(m.finishedAt),
  manifest: m,
})
