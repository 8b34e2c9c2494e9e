// The figures of a reading in one line.
import { formatDuration, formatSize } from '@dbops/contract/duration'

const most = 5

/** The plain numbers and words of a reading, in their order: `version 15.4, max connections 100, uptime 3h`. Lists are told by their length. */
export const figures = (result: Record<string, unknown> | null): string =>
  Object.entries(result ?? {})
    .flatMap(([key, value]) => {
      if (typeof value === 'number') return [`${words(key).replace(/ seconds$/, '')} ${figure(key, value)}`]
      if (Array.isArray(value)) return [`${words(key)} ${value.length}`]
      return typeof value === 'string' ? [`${words(key)} ${value}`] : []
    })
    .slice(0, most)
    .join(', ')

function figure(key: string, value: number): string {
  if (/bytes/i.test(key)) return formatSize(value)
  if (/seconds$/i.test(key)) return formatDuration(Math.round(value * 1_000))
  return value.toLocaleString('en')
}

const words = (key: string) => key.replace(/(?<=[a-z0-9])[A-Z]/g, letter => ` ${letter.toLowerCase()}`).replaceAll('_', ' ')
