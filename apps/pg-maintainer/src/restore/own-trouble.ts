// Errors of the throw-away server that say nothing of the backup: it has no room, no memory or no life left.
import { failureOf } from '@dbops/contract/failure'

/** Throws an error of SQLSTATE class 53 (insufficient resources), 57P (shut down) or 58 (the system's own), and that of a lost session; lets any other be a verdict. */
export function unlessOwnTrouble(error: unknown): void {
  if (/^(53|57P|58)|^connection_lost$/.test(failureOf(error).code)) throw error
}
