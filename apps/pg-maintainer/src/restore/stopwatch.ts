// How long each phase of a restore takes: together they are the time in which a database could be had back.

export interface Stopwatch {
  /** Phase → seconds, to a hundredth. */
  readonly seconds: Record<string, number>
  time<T>(phase: string, work: () => Promise<T>): Promise<T>
  /** Seconds since it was made. */
  total(): number
}

/** `tell` hears of each phase as it begins, with the number of those before it. */
export function stopwatch(tell: (phase: string, before: number) => void): Stopwatch {
  const seconds: Record<string, number> = {}
  const began = performance.now()
  return {
    seconds,
    async time(phase, work) {
      tell(phase, Object.keys(seconds).length)
      const from = performance.now()
      try {
        return await work()
      } finally {
        seconds[phase] = since(from)
      }
    },
    total: () => since(began),
  }
}

const since = (from: number) => Math.round((performance.now() - from) / 10) / 100
