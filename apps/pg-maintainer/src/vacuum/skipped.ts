// Tables that the server left out with a mere warning: VACUUM and ANALYZE of a role that may not get the tag of a success (domain.md 5.1).
import { Permanent } from '@dbops/contract/failure'
import { showTable } from '../table-name.ts'
import type { Notice } from '../task.ts'

export interface Skipped {
  table: string
  owner: string
  message: string
}

export const skippedBy = (notices: Notice[], table: { schema: string; name: string; owner?: string }): Skipped[] =>
  notices
    .filter(({ code, message }) => code === '55P03' || (code.startsWith('01') && /skipping/i.test(message)))
    .map(({ message }) => ({ table: showTable(table), owner: table.owner ?? 'its owner', message }))

/** `work`: which of them it was, for the code: `vacuum_skipped`. */
export const notDone = (work: 'vacuum' | 'analyze', skipped: Skipped[]) =>
  new Permanent(
    `the server skipped ${[...new Set(skipped.map(({ table }) => table))].join(', ')} and called it a success: ${skipped[0]!.message}`,
    {
      code: `${work}_skipped`,
      hint: `only the owner may: GRANT ${[...new Set(skipped.map(({ owner }) => owner))].join(', ')} to the role of this target`,
    },
  )

/** Whether somebody held the table for longer than the lock timeout. */
export const isLocked = (error: unknown) => (error as { code?: unknown }).code === '55P03'
