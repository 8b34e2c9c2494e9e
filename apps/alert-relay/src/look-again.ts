// Looks again at what still fires: repeats fall due, a target answers again and its other alerts are no longer held back, a channel has room. And once at what a
// person has ended, which no event tells.
import { takeToLookAt } from '@dbops/ledger/alerts'
import type { Queryable } from '@dbops/ledger/ledger'
import { tell } from './pipeline.ts'
import type { Rules } from './routes.ts'
import type { Reason } from './stage.ts'

/** Milliseconds between two looks at one episode: how late a repeat may be. */
const between = 30_000
export const nextLook = (now: Date) => new Date(now.getTime() + between)

/** In one transaction; other relays skip the episodes that it holds. Returns what was decided. */
export async function lookAgain(db: Queryable, rules: Rules, now: Date): Promise<Reason[]> {
  const reasons: Reason[] = []
  for (const episode of await takeToLookAt(db, now, nextLook(now), 100)) reasons.push(...(await tell(db, episode, rules, now)))
  return reasons
}
