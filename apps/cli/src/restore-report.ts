// What a restore check has found, check by check.
import { formatDuration } from '@dbops/contract/duration'
import type { Colour, Print } from './print.ts'
import { room } from './runs/start-run.ts'
import { wrap } from './up/teller.ts'

/** As the task declares its result; one of another version may have less. */
export interface Report {
  verdict: 'pass' | 'partial' | 'fail'
  checks: {
    name: string
    about: string
    outcome: string
    seconds: number
    faults: string[]
    faultCount: number
    reason?: string
    notes: string[]
  }[]
  mutations: { caught: number; total: number; mutations: { name: string; outcome: string; what: string; by?: string }[] } | null
  versions: { original: string; scratch: string }
  rpoSeconds: number
  rtoSeconds: number
  seconds: Record<string, number>
  evidence: { file: string }
}

const colours: Record<string, Colour> = { pass: 'green', caught: 'green', partial: 'yellow', fail: 'red', blind: 'red', missed: 'red' }
const colourOf = (word: string): Colour => colours[word] ?? 'yellow'

export function tellReport(print: Print, report: Report): void {
  const { verdict, checks, mutations, versions, rpoSeconds, rtoSeconds, seconds, evidence } = report
  const widest = Math.max(0, ...checks.map(({ name }) => name.length))
  print.line()
  print.line(
    `verdict ${print.colour(colourOf(verdict), verdict)}: ${checks.length} checks on PostgreSQL ${versions.scratch}, dumped from ${versions.original}`,
  )
  for (const { name, about, outcome, faults, faultCount, reason, notes } of checks) {
    print.line(`  ${print.colour(colourOf(outcome), outcome.padEnd(11))}  ${name.padEnd(widest)}  ${print.colour('dim', about)}`)
    const more = faultCount > faults.length ? [`and ${faultCount - faults.length} more`] : []
    for (const line of [...(reason ? [reason] : []), ...faults, ...more, ...notes])
      for (const part of wrap(line, room() - 15)) print.line(`               ${part}`)
  }
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
