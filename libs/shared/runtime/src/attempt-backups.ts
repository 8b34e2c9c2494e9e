// The backups that a run `on: 'artifact'` works on: read from their stores, held while it works, with its evidence beside them. Nothing here deletes or changes one.
import { openStore } from '@dbops/artifacts/open-store'
import { Problem } from '@dbops/contract/failure'
import type { Backup, Backups } from '@dbops/contract/task'
import * as artifacts from '@dbops/ledger/artifacts'
import { type Attempt, untilLedger } from './attempt.ts'

/** As many as anybody chooses from. */
const most = 1_000

export function backupsOf<V>({ service, run, ...rest }: Attempt<V>): Backups {
  const a = { service, run, ...rest } as Attempt<V>
  const rows = new Map<string, artifacts.ArtifactRow>()
  const rowOf = (backup: Backup) => {
    const row = rows.get(backup.id)
    if (!row) throw new Error(`backup ${backup.id} was not listed by this run`)
    return row
  }
  const storeOf = (row: artifacts.ArtifactRow) => {
    const store = service.config.stores[row.store]
    if (!store)
      throw new Problem(`the store "${row.store}" of backup ${row.id} is not configured`, {
        code: 'store_unavailable',
        hint: 'give every service the same file',
      })
    return openStore(row.store, store)
  }
  return {
    async list({ kind, name }) {
      const found = await untilLedger(a, () => artifacts.artifactsOf(service.ledger, { target: run.target ?? '', kind, name, limit: most }))
      for (const row of found) rows.set(row.id, row)
      return found
    },
    async *read(backup, file, signal = a.abort.signal) {
      const row = rowOf(backup)
      const store = await storeOf(row)
      for await (const chunk of store.get(`${row.place}/${file}`)) {
        signal.throwIfAborted()
        yield chunk
      }
    },
    hold: backup => untilLedger(a, () => artifacts.holdArtifact(service.ledger, backup.id, run.id)),
    async attach(backup, name, content) {
      const row = rowOf(backup)
      const file = `checks/${run.id}-${run.fence}-${name}`
      await (await storeOf(row)).putExclusive(`${row.place}/${file}`, content)
      return file
    },
    judged: (backup, verdict) => untilLedger(a, () => artifacts.judgeArtifact(service.ledger, backup.id, verdict)),
  }
}
