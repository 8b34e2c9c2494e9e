// The program behind `./dbops chaos`: runs it, tells what comes over the installation, and prints the verdict. Ends with 0 when the history is clean, 1 when it is not.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Fault } from './faults.ts'
import { type ChaosReport, runChaos } from './run-chaos.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    every: { type: 'string', default: '1500' },
    faults: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean' },
  },
})
const stopping = new AbortController()
// The faults end at once; what they did is put right, and the history is judged all the same. A second signal does not wait for that.
let asked = 0
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (++asked > 1) process.exit(130)
    stopping.abort()
  })

const say = (line: string) => void process.stderr.write(`${line}\n`)
const keep = mkdtempSync(join(tmpdir(), 'dbops-chaos-kept-'))
const report = await runChaos({
  minutes: Number(values.minutes),
  seed: Number(values.seed),
  every: Number(values.every),
  faults: values.faults ? (JSON.parse(readFileSync(values.faults, 'utf8')) as Fault[]) : undefined,
  only: values.only?.split(','),
  signal: stopping.signal,
  say,
  keep,
})
if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`)
else tell(report)
process.exit(report.violations.length ? 1 : 0)

function tell({ seed, seconds, counts, faults, missing, violations }: ChaosReport): void {
  const lines = (all: Record<string, number>) => Object.entries(all).map(([name, n]) => `  ${String(n).padStart(7)}  ${name}`)
  const total = Object.values(faults).reduce((sum, n) => sum + n, 0)
  const text = [
    `seed ${seed}, ${seconds} s`,
    `${total} faults`,
    ...lines(faults),
    ...missing.map(({ kind, why }) => `  left out: ${kind} (${why})`),
    'history',
    ...lines(counts),
  ]
  if (violations.length) {
    const file = join(keep, 'violations.json')
    writeFileSync(file, JSON.stringify(violations, null, 1))
    const byRule = Map.groupBy(violations, one => one.rule)
    for (const [rule, all] of byRule)
      text.push(
        `violated: ${rule}`,
        ...all.slice(0, 5).map(one => `  ${one.what}`),
        ...(all.length > 5 ? [`  and ${all.length - 5} more`] : []),
      )
    text.push(`verdict: ${violations.length} violations; history, faults and logs are in ${keep}`)
    text.push(`again: ./dbops chaos --seed ${seed}, or --faults ${join(keep, 'faults.json')}`)
  } else text.push('verdict: clean')
  process.stdout.write(`${text.join('\n')}\n`)
}
