// What is wrong with a pool. What comes and goes within a minute is one fault: a pool at its edge would tell its recovery every ten seconds.
import type { Pool } from '@dbops/contract/config-file'
import { formatDuration, parseDuration } from '@dbops/contract/duration'
import type { Fault } from '@dbops/contract/task'
import type { MeasuredPool } from './measure.ts'

/** A fault is over when it was not seen for so long, in ms. */
const calm = 60_000
const isRecent = (at: string | null, now: Date) => at !== null && now.getTime() - Date.parse(at) < calm

export function* faultsOf(pool: MeasuredPool, { recycle }: Pool, now: Date): Generator<Fault> {
  const { pool: name, size, limit, active, overflow, checkedout, oldestUseSeconds, overflowAt, exhaustedAt } = pool
  const evidence = { ...pool }
  const used = checkedout === null ? '' : `, ${checkedout} of them in a query or a transaction`
  if (isRecent(overflowAt, now))
    yield {
      key: `overflow ${name}`,
      level: 'warning',
      what: `pool ${name} has ${active} connections${overflow ? `, ${overflow} more than its size of ${size}` : `, and had more than its size of ${size} a moment ago`}${used}`,
      hint: 'docs/operate/pool.md: who holds them, and for how long',
      evidence,
      tells: { opened: 'db_pool_overflow', gone: 'db_pool_recovered' },
    }
  if (isRecent(exhaustedAt, now))
    yield {
      key: `exhausted ${name}`,
      level: 'error',
      what: `pool ${name} ${active >= limit ? 'has' : 'had a moment ago'} all of its ${limit} connections${used}: the next request waits, and fails after the pool's timeout`,
      hint: 'docs/operate/pool.md: who holds them, and for how long',
      evidence,
      tells: { opened: 'db_pool_exhausted', gone: 'db_pool_recovered' },
    }
  // A pool closes an old connection when it hands it out, so an idle one may be older; one that was still used is not recycled.
  if (recycle && oldestUseSeconds !== null && oldestUseSeconds * 1_000 > parseDuration(recycle) + 60_000)
    yield {
      key: `recycle ${name}`,
      level: 'warning',
      what: `pool ${name} still uses a connection ${formatDuration(oldestUseSeconds * 1_000)} old; its plan closes them after ${recycle}`,
      hint: 'pool_recycle of the service is not what the plan says, or somebody never gives the connection back',
      evidence,
    }
}
