// The statement that would end whoever holds the horizon, for a person to read and run.
import { escapeLiteral } from 'pg'
import type { Holder } from './horizon.ts'

/** Undefined for a standby: its long query ends there. */
export function endOfHolder({ kind, name, pid }: Holder): string | undefined {
  if (kind === 'slot') return `SELECT pg_drop_replication_slot(${escapeLiteral(name)})`
  if (kind === 'prepared') return `ROLLBACK PREPARED ${escapeLiteral(name)}`
  return kind === 'session' ? `SELECT pg_terminate_backend(${pid})` : undefined
}
