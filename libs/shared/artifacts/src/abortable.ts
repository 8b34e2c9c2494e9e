// Lets a consumer leave a source that may never yield again: the pipe of a process that hangs, a socket that has gone quiet.

/** Yields what `source` yields until `signal` aborts, then throws the signal's reason at once, whatever the source is waiting for. */
export async function* abortable<T>(source: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  if (!signal) return yield* source
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  try {
    for (;;) {
      const { done, value } = await nextOf(iterator, signal)
      if (done) {
        ended = true
        return
      }
      yield value
    }
  } finally {
    // Not awaited: a generator that hangs in an await would never answer. A stream destroys itself here.
    if (!ended) void iterator.return?.().catch(() => {})
  }
}

// Not Promise.race against one long-lived promise: that one would keep every chunk which it ever raced with.
function nextOf<T>(iterator: AsyncIterator<T>, signal: AbortSignal): Promise<IteratorResult<T, unknown>> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error)
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    iterator
      .next()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', abort))
  })
}
