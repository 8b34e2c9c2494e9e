// The moment at which a handler begins, told to the process that measures. The clock is the machine's monotonic one, the same in every process.

export interface Told {
  run: string
  /** Nanoseconds. */
  at: string
}

export function tell(run: string): void {
  const at = process.hrtime.bigint()
  process.send?.({ run, at: String(at) } satisfies Told)
}
