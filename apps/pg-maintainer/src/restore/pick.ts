// Which backup is tried: the newest, one by chance, or the one that a person named.
import { randomInt } from 'node:crypto'
import { Refused } from '@dbops/contract/failure'
import type { Backup } from '@dbops/contract/task'

export const picks = ['newest', 'random'] as const
export type Pick = (typeof picks)[number]

/** `backups`: the newest first. Refused: `no_backup`, `backup_unknown`. */
export function pickBackup(
  backups: readonly Backup[],
  { dump, pick, backup }: { dump: string; pick: Pick; backup?: string | undefined },
): Backup {
  if (!backups.length)
    throw new Refused(`there is no dump "${dump}" to be checked`, { code: 'no_backup', hint: `dbops run pg.dump dump=${dump}` })
  if (backup !== undefined) {
    const named = backups.filter(({ id }) => id.endsWith(backup))
    if (named.length === 1) return named[0]!
    throw new Refused(
      `${named.length ? `${named.length} backups of` : 'no backup of'} "${dump}" ${named.length ? 'have' : 'has'} the id ${backup}`,
      {
        code: 'backup_unknown',
        hint: 'dbops backups lists them; write the id or its last 8 characters',
      },
    )
  }
  return backups[pick === 'newest' ? 0 : randomInt(backups.length)]!
}
