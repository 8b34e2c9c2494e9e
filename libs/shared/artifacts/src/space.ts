// Asks before a backup begins whether it will fit, instead of filling a disk that others live on.
import { formatSize } from '@dbops/contract/duration'
import { Refused } from '@dbops/contract/failure'
import type { Store } from './store.ts'

/** Refuses (`store_full`) when fewer than `bytes` and the reserve are left. A store without a limit grants everything. */
export async function demandSpace(store: Store, bytes: number): Promise<void> {
  const free = await store.free()
  if (free === null || free - bytes >= store.reserve) return
  throw new Refused(
    `store "${store.name}" (${store.location}) has ${formatSize(free)} left; ${bytes ? `${formatSize(bytes)} are needed and ` : ''}${formatSize(store.reserve)} must stay free`,
    { code: 'store_full', hint: `make room there, or lower stores.${store.name}.free` },
  )
}
