// One pool as the server sees it, against what the configuration plans for it (seed-table.md 5.4).
import type { Pool } from '@dbops/contract/config-file'
import { z } from 'zod'
import { hiddenReason } from '../statement-text.ts'
import { belongsTo, type SessionGroup } from './sessions.ts'

export const measuredPool = z.strictObject({
  pool: z.string(),
  /** Of all processes together, as is the limit: size + overflow. */
  size: z.int(),
  limit: z.int(),
  processes: z.int(),
  /** Sessions that match. */
  active: z.int(),
  /** Those beyond the size. */
  overflow: z.int(),
  /** Sessions in a query or a transaction. */
  checkedout: z.int().nullable(),
  /** Age of the oldest connection; null also without any. */
  oldestSeconds: z.number().nullable(),
  /** The greatest age at which a connection was given its last statement: what `recycle` bounds. */
  oldestUseSeconds: z.number().nullable(),
  /** Why something above is null. */
  reason: z.string().nullable(),
  /** When it was last seen beyond its size, and at its end. */
  overflowAt: z.iso.datetime().nullable(),
  exhaustedAt: z.iso.datetime().nullable(),
})
export type MeasuredPool = z.infer<typeof measuredPool>

export function measurePool(
  pool: string,
  { match, size, overflow, processes }: Pool,
  groups: SessionGroup[],
  { before, now }: { before?: MeasuredPool | undefined; now: Date },
): MeasuredPool {
  const mine = groups.filter(group => belongsTo(match, group))
  const active = mine.reduce((sum, { sessions }) => sum + sessions, 0)
  const isHidden = mine.some(({ checkedout }) => checkedout === null)
  const checkedout = isHidden ? null : mine.reduce((sum, { checkedout }) => sum + checkedout!, 0)
  const [all, limit] = [size * processes, (size + overflow) * processes]
  // Connections beyond the size exist only while somebody has them, so all of them are taken. A pool without any keeps its size also at rest.
  const isExhausted = active >= limit && (overflow > 0 || (checkedout ?? 0) >= limit)
  return {
    pool,
    size: all,
    limit,
    processes,
    active,
    overflow: Math.max(0, active - all),
    checkedout,
    oldestSeconds: greatest(mine.map(({ oldest }) => oldest)),
    oldestUseSeconds: greatest(mine.map(({ oldestUse }) => oldestUse)),
    reason: isHidden ? hiddenReason : active ? null : 'no session of this pool is connected',
    overflowAt: active > all ? now.toISOString() : (before?.overflowAt ?? null),
    exhaustedAt: isExhausted ? now.toISOString() : (before?.exhaustedAt ?? null),
  }
}

const greatest = (numbers: (number | null)[]) =>
  numbers.reduce((most, one) => (one !== null && (most === null || one > most) ? one : most), null)
