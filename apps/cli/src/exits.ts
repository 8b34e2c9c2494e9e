// What the exit code of every command means. Scripts may rely on it.

export const exits = {
  done: 0,
  /** The work itself failed: a run, a test, a check. */
  failed: 1,
  /** Wrong use or wrong configuration: doing it again changes nothing. */
  wrong: 2,
  /** A service or a server could not be reached. */
  unreachable: 3,
  /** Refused by a rule, or awaiting somebody's approval. */
  refused: 4,
  /** What was waited for did not happen in time. */
  timedOut: 5,
} as const
export type Exit = keyof typeof exits
