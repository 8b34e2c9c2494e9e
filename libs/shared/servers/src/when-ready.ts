// Waits until a server answers: by asking it, again and again, and never longer than the server lives.
import { setTimeout as sleep } from 'node:timers/promises'
import { ServerError } from './server-error.ts'

export interface Waiting {
  /** Milliseconds. */
  within: number
  signal?: AbortSignal
  /** Resolves when the server's process ends, with how it ended. */
  ended?: Promise<string>
  /** The end of its log. */
  log?: () => string
}

/** A ServerError of `ask` is final (a wrong password), any other means "not yet". Errors: ServerError, with the last answer, and with the log where there is one; the signal's reason when it is aborted. */
export async function whenReady(what: string, url: string, ask: () => Promise<void>, waiting: Waiting): Promise<void> {
  const deadline = performance.now() + waiting.within
  for (;;) {
    waiting.signal?.throwIfAborted()
    try {
      const end = await Promise.race([ask(), waiting.ended ?? new Promise<never>(() => {})])
      if (end === undefined) return
      throw new ServerError(`${what} ended while starting (${end})${indented(waiting.log?.())}`)
    } catch (error) {
      if (error instanceof ServerError) throw error
      if (performance.now() > deadline)
        throw new ServerError(
          `${what} at ${new URL(url).host} does not answer after ${waiting.within / 1000} s: ${said(error)}${indented(waiting.log?.())}`,
          undefined,
          { cause: error },
        )
    }
    await sleep(20)
  }
}

/** Returns what was started when it is ready; stops it when it does not become so. */
export async function untilReady<T extends { url: string; stop: () => Promise<void> }>(
  started: T,
  ready: (url: string) => Promise<void>,
): Promise<T> {
  try {
    await ready(started.url)
    return started
  } catch (error) {
    await started.stop()
    throw error
  }
}

// A refused connection to a name with two addresses comes as an AggregateError without a message.
const said = (error: unknown) =>
  error instanceof AggregateError ? error.errors.map(one => (one as Error).message).join('; ') : (error as Error).message

const indented = (log: string | undefined) => (log ? `\n  ${log.replaceAll('\n', '\n  ')}` : '')
