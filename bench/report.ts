// What a bench says at its end: one table of ratios with their spread, and on which machine, with which versions it came about.
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'

/** One measurement of ours beside its peer's; the values of a pair stand at the same place in both lists. */
export interface Row {
  what: string
  unit: string
  ours: number[]
  /** Left out where a goal is an absolute number. */
  peer?: number[]
  /** The peer, in words. */
  beside?: string
  goal?: string
  /** Whether the medians reach the goal. */
  met?: boolean
}

export interface Report {
  area: string
  seconds: number
  machine: string
  versions: Record<string, string>
  rows: Row[]
  /** What a reader of the table must know. */
  notes: string[]
}

export const { json, quick } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' } }, strict: true }).values

/** On standard error, so that `--json` stays clean. */
export const say = (line: string) => process.stderr.write(`${line}\n`)

/** By the nearest rank; `share` 0.5 is the median. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN
}
export const median = (values: readonly number[]) => quantile(values, 0.5)

/** Of each pair, so that a machine that grows slow in the middle slows both. */
export const ratios = ({ ours, peer = [] }: Row): number[] => ours.map((value, i) => value / (peer[i] ?? Number.NaN))

export const machine = () =>
  `${cpus().length} cores of ${cpus()[0]?.model.trim() ?? 'an unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, load ${loadavg()[0]!.toFixed(1)} at the end`

/** The first number that a program says of itself. */
export function versionOf(program: string): string {
  return /\d+\.\d+\S*/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' }))?.[0] ?? 'unknown'
}

export function print(report: Report): void {
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${table(report)}\n`)
}

function table({ area, seconds, rows, notes, machine: on, versions }: Report): string {
  const lines = [
    ['', 'ours: median (min–max)', 'peer: median (min–max)', 'ratio (min–max)', 'goal', ''],
    ...rows.map(row => [
      `${row.what}, ${row.unit}`,
      spread(row.ours),
      row.peer ? `${spread(row.peer)} ${row.beside ?? ''}` : '',
      row.peer ? spread(ratios(row)) : '',
      row.goal ?? '',
      row.met === undefined ? '' : row.met ? 'met' : 'missed',
    ]),
  ]
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map(line => line[column]!.length)))
  const text = lines.map(line =>
    line
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  const with_ = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [`${area} (${seconds} s; ${on}; ${with_.join(', ')})`, ...text, ...notes.map(note => `· ${note}`)].join('\n')
}

const spread = (values: number[]) =>
  values.length === 1 ? short(values[0]!) : `${short(median(values))} (${short(Math.min(...values))}–${short(Math.max(...values))})`
const short = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2))
