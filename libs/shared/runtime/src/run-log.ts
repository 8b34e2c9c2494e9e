// The lines of one run on their way to the ledger: redacted, in small batches, the newest 500 kept.
import { keepable } from '@dbops/contract/keepable'
import type { Ledger } from '@dbops/ledger/ledger'
import { appendLines, type Line } from '@dbops/ledger/logs'
import { redact, redactAll } from './redact.ts'

export interface RunLog {
  add(level: 'info' | 'warning' | 'error', message: string, fields?: Record<string, unknown>): void
  /** Writes what is left; gives up quietly when the ledger is away, since the process log has the same lines. */
  flush(): Promise<void>
}

export function openRunLog(ledger: Ledger, run: string, startAfter: number): RunLog {
  let waiting: Line[] = []
  let n = startAfter
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> | undefined
  // One batch at a time, with what has come meanwhile in the next: behind a ledger that does not answer the lines do not pile up.
  const drain = async () => {
    while (waiting.length) await appendLines(ledger, run, waiting.splice(0)).catch(() => undefined)
  }
  const write = (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    writing ??= drain().finally(() => (writing = undefined))
    return writing
  }
  return {
    add(level, message, fields) {
      const whole = redact(fields && Object.keys(fields).length ? `${message} ${JSON.stringify(redactAll(fields))}` : message)
      // Cut in the middle of a character, the ledger would refuse the batch.
      const line = keepable(whole.slice(0, 4_000))
      waiting.push({ n: ++n, at: new Date(), level, line })
      if (waiting.length > 500) waiting = waiting.slice(-500)
      timer ??= setTimeout(() => void write(), 300).unref()
    },
    flush: () => Promise.race([write(), new Promise<void>(resolve => setTimeout(resolve, 2_000).unref())]),
  }
}
