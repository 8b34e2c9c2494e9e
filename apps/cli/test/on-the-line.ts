// The command line as a process on a line that a test has started.
import type { Line } from '@dbops/testing/line'
import { dbops, type Ended } from './a-command.ts'

export interface Said extends Ended {
  /** The objects of --json, one a line. */
  records: Record<string, unknown>[]
}

/** Knows the line's ledger alone, and its configuration only where `--config` stands among the words. */
export const onTheLine =
  (line: Pick<Line, 'env'>) =>
  async (...words: string[]): Promise<Said> => {
    const ended = await dbops(words, { env: line.env })
    const lines = words.includes('--json') ? ended.stdout.split('\n').filter(Boolean) : []
    return { ...ended, records: lines.map(text => JSON.parse(text) as Record<string, unknown>) }
  }

/** The keys of the first object, in order. */
export function keysOf({ records, stderr }: Said): string[] {
  if (!records[0]) throw new Error(`it said nothing: ${stderr}`)
  return Object.keys(records[0])
}
