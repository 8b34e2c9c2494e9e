// The end of a server's log, for the error that says why it did not start.
import { readFileSync } from 'node:fs'

export function lastLines(file: string, count = 8): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n')
  } catch {
    return ''
  }
}
