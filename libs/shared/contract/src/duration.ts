// Durations (`500ms 30s 15m 2h 7d`) and sizes (`64MiB 100GiB`) as people write them in the configuration, and back.
import { z } from 'zod'

const milliseconds = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const bytes = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const

export const duration = z
  .string()
  .regex(/^[0-9]+(ms|s|m|h|d)$/, 'is no duration')
  .meta({ 'x-hint': 'write a whole number and a unit: 500ms, 30s, 15m, 2h, 7d' })
export const size = z
  .string()
  .regex(/^[0-9]+(B|KiB|MiB|GiB|TiB)$/, 'is no size')
  .meta({ 'x-hint': 'write a whole number and a unit: 64MiB, 100GiB' })

/** `'15m'` → 900000 (milliseconds). Throws a RangeError on anything that `duration` does not accept. */
export function parseDuration(text: string): number {
  const match = /^([0-9]+)(ms|s|m|h|d)$/.exec(text)
  if (!match) throw new RangeError(`"${text}" is no duration; write for example 30s, 15m or 7d`)
  return Number(match[1]) * milliseconds[match[2] as keyof typeof milliseconds]
}

/** `'100GiB'` → 107374182400 (bytes). Throws a RangeError on anything that `size` does not accept. */
export function parseSize(text: string): number {
  const match = /^([0-9]+)(B|KiB|MiB|GiB|TiB)$/.exec(text)
  if (!match) throw new RangeError(`"${text}" is no size; write for example 64MiB or 100GiB`)
  return Number(match[1]) * bytes[match[2] as keyof typeof bytes]
}

/** Milliseconds → at most two units, for people: `1h 5m`, `2.3s`, `40ms`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)}s`
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const
  const first = units.findIndex(([, size]) => ms >= size)
  const [big, small] = [units[first]!, units[first + 1]]
  const rest = small ? Math.floor((ms % big[1]) / small[1]) : 0
  return `${Math.floor(ms / big[1])}${big[0]}${rest ? ` ${rest}${small![0]}` : ''}`
}

/** Bytes → for people: `1.4 MiB`. */
export function formatSize(count: number): string {
  const unit = (['TiB', 'GiB', 'MiB', 'KiB'] as const).find(name => count >= bytes[name])
  return unit ? `${(count / bytes[unit]).toFixed(1)} ${unit}` : `${count} B`
}
