// The words that the English messages share.
import type { Message } from '../../message.ts'

/** `pg.dump:metadata on pg/core (prod)`. */
export const subject = (m: Pick<Message, 'operation' | 'engine' | 'target' | 'environment'>) =>
  `${m.operation}${m.target === null ? '' : ` on ${m.engine}/${m.target}`} (${m.environment})`

/** `2026-01-31T05:00:12.345Z` → `2026-01-31 05:00 UTC`. */
export const minute = (iso: string) => `${new Date(iso).toISOString().slice(0, 16).replace('T', ' ')} UTC`

/** What to type next. Ids are told by their last 8 characters. */
export const lookHere = ({ run }: Pick<Message, 'run'>) =>
  run ? `To see the run that failed: dbops runs show ${run.slice(-8)}` : 'To see what is reached and what is not: dbops status'
