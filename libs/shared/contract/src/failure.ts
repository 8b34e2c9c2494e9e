// The four ways in which work ends badly, and the one shape in which a failure is stored, sent and shown.
import { z } from 'zod'
import { keepable } from './keepable.ts'

export const failure = z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }).meta({ title: 'Failure' })
export type Failure = z.infer<typeof failure>

/** What every error of ours carries beside its message: a stable code, and what the reader can do about it. */
export interface Told {
  code?: string
  hint?: string
  cause?: unknown
}

/** An error that was written for its reader: shown as one line and a hint, never with a stack. */
export class Problem extends Error {
  readonly code: string
  readonly hint: string | undefined
  constructor(message: string, { code, hint, cause }: Told = {}) {
    super(message, { cause })
    this.name = new.target.name
    this.code = code ?? snake(new.target.name)
    this.hint = hint
  }
}

/** A rule or a precondition says no: never retried, state `refused`. */
export class Refused extends Problem {}

/** It will never work, however often it is tried: state `failed` at once. */
export class Permanent extends Problem {}

/** Not now: queued again after `after` milliseconds, and the attempt is not counted. */
export class Later extends Problem {
  readonly after: number
  constructor(message: string, after: number, told: Told = {}) {
    super(message, told)
    this.after = after
  }
}

/** Any thrown value as a Failure that can be stored, whatever it quotes. SQLSTATE and `errno` codes are kept as the code, so that causes can be counted. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Problem)
    return { code: error.code, message: keepable(error.message), ...(error.hint ? { hint: keepable(error.hint) } : {}) }
  if (error instanceof AggregateError && error.errors.length) return failureOf(error.errors[0])
  if (!(error instanceof Error)) return { code: 'error', message: keepable(String(error)) }
  const { code } = error as { code?: unknown }
  return { code: typeof code === 'string' ? code : 'error', message: keepable(error.message || error.name) }
}

const snake = (name: string) => name.replace(/(?<=[a-z])[A-Z]/g, letter => `_${letter}`).toLowerCase()
