// What the exit code of every command means. Scripts may rely on it.
import type { Failure } from '@dbops/contract/failure'

export const exits = {
  done: 0,
  failed: 1,
  wrong: 2,
  unreachable: 3,
  refused: 4,
  timedOut: 5,
} as const
export type Exit = keyof typeof exits

export const exitMeanings: Record<Exit, string> = {
  done: 'done',
  failed: 'the work itself failed: a run, a check, a test',
  wrong: 'wrong use or wrong configuration: doing it again changes nothing',
  unreachable: 'a service or a server could not be reached',
  refused: "refused by a rule, or waiting for another person's approval",
  timedOut: 'what was waited for did not happen in time; it goes on',
}

/** Of a no that the scheduler has answered. */
export function exitOfAnswer({ code }: Failure): Exit {
  if (code.startsWith('refused')) return 'refused'
  return /^(bad|unknown)_/.test(code) ? 'wrong' : 'failed'
}
