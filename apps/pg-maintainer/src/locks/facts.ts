// What pg.locks tells of a root and of a wait.
import { z } from 'zod'

const session = {
  pid: z.int(),
  role: z.string().nullable(),
  application: z.string(),
  /** `client backend`, `autovacuum worker`, `prepared transaction` (pid 0) …; null, as state, times and query, where the role may not see it (pg_monitor). */
  kind: z.string().nullable(),
  state: z.string().nullable(),
  query: z.string().nullable(),
}
export const root = z.strictObject({
  ...session,
  transactionSeconds: z.number().nullable(),
  /** For how long it has been active or idle in its transaction. */
  stateSeconds: z.number().nullable(),
  transactionStartedAt: z.iso.datetime().nullable(),
  /** All that would go on if it ended. */
  waiters: z.int(),
  longestWaitSeconds: z.number(),
})
export const wait = z.strictObject({
  ...session,
  waitSeconds: z.number(),
  mode: z.string(),
  on: z.string(),
  blockedBy: z.array(z.int()),
  /** 1: waits for a root. Null in a circle, which the server breaks by itself. */
  depth: z.int().nullable(),
  roots: z.array(z.int()),
})
export type RootFacts = z.infer<typeof root>
