// Empties a partition of which every row is past the cut-off, at the cost of a file instead of its rows.
import { quoteTable } from '../table-name.ts'
import type { Postgres } from '../task.ts'
import type { Leaf } from './subject.ts'

/** ms that it waits for the partition: everybody who reads it meanwhile waits behind. */
const patience = '200'
const truncate = (table: string) => `TRUNCATE ONLY ${table}`

/**
 * False: somebody uses the partition, another table refers to it, or this role may not. Its rows then go one by one, as those of any other
 * table. A row trigger for deletions would not see this: the caller looks for one.
 */
export async function emptyPartition(pg: Postgres, leaf: Leaf): Promise<boolean> {
  await using session = await pg.session({ lock_timeout: patience })
  try {
    await session.execute(truncate(quoteTable(leaf)))
    return true
  } catch (error) {
    if (['55P03', '0A000', '42501'].includes((error as { code?: string }).code ?? '')) return false
    throw error
  }
}
