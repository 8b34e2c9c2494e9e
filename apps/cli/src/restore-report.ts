// What a restore check has found, check by check.
import { formatDuration } from '@dbops/contract/duration'
import type { Colour, Print } from './print.ts'
import { room } from './runs/start-run.ts'
import { wrap } from './up/teller.ts'

/** As pg.restore-check declares its result. */
export interface Report {
  verdict: 'pass' | 'partial' | 'fail'
  checks: { name: string; outcome: string; faults: number; seconds: number }[]
  /** The first faults of each check, and why one was not checked. */
  wrong: string[]
  notes: string[]
  mutations: { caught: number; total: number; mutations: { name: string; outcome: string; what: string; by?: string }[] } | null
  versions: { original: string; scratch: string }
  tables: number
  rows: number
  leftOut: string[]
  rpoSeconds: number
  rtoSeconds: number
  /** Of each phase. */
  seconds: Record<string, number>
  evidence: { file: string }
}

const colours: Record<string, Colour> = { pass: 'green', caught: 'green', partial: 'yellow', fail: 'red', blind: 'red', missed: 'red' }
const colourOf = (word: string): Colour => colours[word] ?? 'yellow'

export function tellReport(print: Print, report: Report): void {
  const { verdict, checks, wrong, notes, mutations, versions, tables, rows, leftOut, rpoSeconds, rtoSeconds, seconds, evidence } = report
  const list = (colour: Colour | undefined, words: string[]) => {
    for (const text of words) for (const line of wrap(text, room())) print.line(`  ${colour ? print.colour(colour, line) : line}`)
  }
  print.line()
  print.line(
    `verdict ${print.colour(colourOf(verdict), verdict)}: ${checks.length} checks, ${tables} tables, ${rows.toLocaleString('en')} rows, on PostgreSQL ${versions.scratch}`,
  )
  for (const { name, outcome, faults, seconds: took } of checks)
    print.line(
      `  ${print.colour(colourOf(outcome), outcome.padEnd(11))}  ${name.padEnd(13)}  ${time(took).padStart(6)}${faults ? `  ${faults} faults` : ''}`,
    )
  list('red', wrong)
  list(
    undefined,
    leftOut.map(name => `left out: ${name}`),
  )
  list('dim', notes)
  if (mutations) {
    print.line()
    print.line(`${mutations.caught} of ${mutations.total} planted faults were seen`)
    for (const { name, outcome, what, by } of mutations.mutations)
      print.line(`  ${print.colour(colourOf(outcome), outcome.padEnd(14))}  ${name}: ${what}${by ? `, by ${by}` : ''}`)
  }
  print.line()
  const phases = Object.entries(seconds).map(([name, s]) => `${name} ${time(s)}`)
  print.line(`RPO ${time(rpoSeconds)}, RTO ${time(rtoSeconds)}: ${phases.join(', ')}`)
  print.line(`evidence: ${evidence.file}, beside the backup`)
}

const time = (seconds: number) => formatDuration(Math.round(seconds * 1_000))
