// What a service writes: kept whole in a file that does not grow without end, and read line by line for what belongs on the terminal.
import { appendFileSync, renameSync, statSync } from 'node:fs'
import { isSignal } from '@dbops/contract/signals'
import type { Said } from './teller.ts'

/** What stands in every line of a service's log, and what `up` looks for in some. */
export interface LogLine {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical'
  event?: string
  message: string
  hint?: string
  address?: string
  cause?: string
  state?: string
  channel?: string
}

/** A file of this size is put aside as `<file>.1`, in place of the one before: two of them are what a service may fill. */
const largest = 5 * 1024 * 1024

/** Takes text as it comes from the process. `heard` gets each whole line: as an object, or as text where it is none (a stack of Node). */
export function serviceLog(file: string, heard: (line: LogLine | string) => void): (text: string) => void {
  let rest = ''
  let size = sizeOf(file)
  return text => {
    if (size > largest) {
      renameSync(file, `${file}.1`)
      size = 0
    }
    appendFileSync(file, text, { mode: 0o600 })
    size += Buffer.byteLength(text)
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line) heard(parse(line))
  }
}

/** What of a service's log belongs on the terminal; undefined for the rest, and for what the event stream tells anyway. */
export function worthSaying(app: string, line: LogLine): Said | undefined {
  const { event = '', message, hint, level, cause, state, channel } = line
  if (event === 'notification')
    return { subject: `alert ${channel}`, text: message, tone: state === 'resolved' ? 'good' : level === 'warn' ? 'odd' : 'bad' }
  if (isSignal(event) || (event === 'service_hindered' && cause === 'stop')) return undefined
  if (level === 'warn') return { subject: app, text: message, hint, tone: 'odd' }
  return level === 'error' || level === 'critical' ? { subject: app, text: message, hint, tone: 'bad' } : undefined
}

function parse(line: string): LogLine | string {
  try {
    const value = JSON.parse(line) as LogLine
    return typeof value === 'object' && value !== null && typeof value.message === 'string' ? value : line
  } catch {
    return line
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size
  } catch {
    return 0
  }
}
