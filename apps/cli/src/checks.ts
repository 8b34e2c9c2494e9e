// What must be right, and how it is told: of `doctor`, and of `targets check`.
import type { Ledger } from '@dbops/ledger/ledger'
import { listReadings } from '@dbops/ledger/probes'
import { listTargets } from '@dbops/ledger/schedules'
import { listServices } from '@dbops/ledger/services'
import type { Finding } from '@dbops/runtime/engine'
import type { Colour, Print } from './print.ts'
import { wrap } from './up/teller.ts'

/** `area` is a part of the installation: `ledger`, `services`, `target core`. */
export interface Check {
  area: string
  level: Finding['level']
  what: string
  hint: string | null
}

export const ok = (area: string, what: string): Check => ({ area, level: 'ok', what, hint: null })
export const bad = (level: 'warning' | 'error', area: string, what: string, hint: string): Check => ({ area, level, what, hint })

const colours: Record<Check['level'], Colour> = { ok: 'green', warning: 'yellow', error: 'red' }

/** One line, its hint below it; `widest` of the areas. */
export function tellCheck(print: Print, check: Check, widest: number): void {
  const { area, level, what, hint } = check
  print.record(check)
  const before = widest + 'warning'.length + 4
  const [first = '', ...rest] = wrap(what, roomBeside(before))
  print.line(`${area.padEnd(widest)}  ${print.colour(colours[level], level.padEnd('warning'.length))}  ${first}`)
  const more = [...rest, ...(hint ? wrap(`hint: ${hint}`, roomBeside(before)).map(line => print.colour('yellow', line)) : [])]
  for (const line of more) print.line(' '.repeat(before) + line)
}
const roomBeside = (before: number) => (process.stdout.isTTY ? (process.stdout.columns || 120) - before : Infinity)

/** What the maintainers found on their targets (versions, rights, tools), and which readings fail. */
export async function foundOnTargets(ledger: Ledger): Promise<Check[]> {
  const found = (await listServices(ledger, 60_000)).flatMap(({ app, detail }) =>
    ((detail['findings'] as Finding[] | undefined) ?? []).map(finding => ({
      area: finding.target ? `target ${finding.target}` : app,
      level: finding.level,
      what: finding.what,
      hint: finding.hint ?? null,
    })),
  )
  // A finding may be a minute old; a reading is of this moment.
  const known = new Set((await listTargets(ledger)).map(({ name }) => name))
  const readings = (await listReadings(ledger)).flatMap(({ target, probe, state, since, error }) =>
    state === 'ok' || !known.has(target)
      ? []
      : [
          bad(
            'error',
            `target ${target}`,
            `${probe} fails since ${since.toISOString()}: ${error?.message ?? 'no reason was told'}`,
            error?.hint ?? 'is the server running, and reachable from its maintainer?',
          ),
        ],
  )
  // Replicas find the same.
  return [...new Map([...readings, ...found].map(check => [JSON.stringify(check), check])).values()]
}
