// Durations (`500ms 30s 15m 2h 7d`) and sizes (`64MiB 100GiB`) as people write them in the configuration, and back.
import { z } from 'zod'

const milliseconds = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const bytes = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const

// Of so many digits that each is some hundreds of years, or some petabytes, at most: any moment and any sum made of them is one.
const someTime = /^([0-9]{1,13}ms|[0-9]{1,10}s|[0-9]{1,8}m|[0-9]{1,6}h|[0-9]{1,5}d)$/
const someSize = /^([0-9]{1,15}B|[0-9]{1,12}KiB|[0-9]{1,9}MiB|[0-9]{1,6}GiB|[0-9]{1,4}TiB)$/

export const duration = z
  .string()
  .regex(someTime, 'is no duration')
  .meta({ 'x-hint': 'write a whole number and a unit, at most 99999d: 500ms, 30s, 15m, 2h, 7d' })
export const size = z
  .string()
  .regex(someSize, 'is no size')
  .meta({ 'x-hint': 'write a whole number and a unit, at most 9999TiB: 64MiB, 100GiB' })

/** `'15m'` → 900000 (milliseconds). Throws a RangeError on anything that `duration` does not accept. */
export function parseDuration(text: string): number {
  if (!someTime.test(text)) throw new RangeError(`"${shown(text)}" is no duration; write for example 30s, 15m or 7d, at most 99999d`)
  return Number.parseInt(text, 10) * milliseconds[unitOf(text) as keyof typeof milliseconds]
}

/** `'100GiB'` → 107374182400 (bytes). Throws a RangeError on anything that `size` does not accept. */
export function parseSize(text: string): number {
  if (!someSize.test(text)) throw new RangeError(`"${shown(text)}" is no size; write for example 64MiB or 100GiB, at most 9999TiB`)
  return Number.parseInt(text, 10) * bytes[unitOf(text) as keyof typeof bytes]
}

const unitOf = (text: string) => text.replace(/^[0-9]+/, '')
/** An error is one line, whatever was typed. */
const shown = (text: string) => (text.length > 40 ? `${text.slice(0, 40)}…` : text)

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
