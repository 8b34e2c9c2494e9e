// Numbers as people read them.
import { formatDuration } from '@dbops/contract/duration'

/** Bytes with a binary unit and one digit behind the point. */
export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const step = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, Math.abs(n))) / 10)))
  return `${step ? (n / 1024 ** step).toFixed(1) : Math.round(n)} ${units[step]}`
}
export const whole = (n: number): string => Math.round(n).toLocaleString('en')
export const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`
export const time = (ms: number): string => formatDuration(ms)
export const signed = (n: number, as: (n: number) => string): string => (n > 0 ? `+${as(n)}` : n < 0 ? `−${as(-n)}` : '0')
