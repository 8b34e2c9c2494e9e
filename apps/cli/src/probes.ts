// What the probes read last. A value that cannot be known is null, and its reason stands beside it.
import { catalog } from '@dbops/catalog/catalog'
import { nearMiss } from '@dbops/contract/names'
import { listReadings, type ReadingRow } from '@dbops/ledger/probes'
import type { Context } from './command.ts'
import { factLines, indent } from './facts.ts'
import { Failed } from './fail.ts'
import { past } from './moment.ts'
import { ago, type Print } from './print.ts'
import { figures } from './reading-words.ts'
import { room } from './runs/start-run.ts'
import { mustBeTarget } from './targets.ts'

const everyOf = new Map(catalog.probes.map(({ name, every }) => [name, every]))

/** The keys are a contract with scripts: they may become more. */
const readingRecord = ({ target, probe, state, since, at, result, error }: ReadingRow, now: Date) => ({
  target,
  probe,
  state,
  since,
  at,
  result,
  error,
  every: everyOf.get(probe) ?? null,
  /** Seconds since it was taken. */
  age: Math.max(0, Math.round((now.getTime() - at.getTime()) / 1_000)),
})
type ReadingRecord = ReturnType<typeof readingRecord>

export async function probes({ args, options, print, connect }: Context): Promise<void> {
  const name = args[0] as string | undefined
  const target = options['target'] as string | undefined
  const { ledger, environment } = await connect()
  if (target !== undefined) await mustBeTarget(ledger, target)
  const now = await ledger.now()
  const readings = await listReadings(ledger)
  // A newer version beside this one may know more of them.
  if (name !== undefined && !everyOf.has(name) && !readings.some(({ probe }) => probe === name))
    throw new Failed('wrong', `there is no probe "${name}"`, {
      code: 'unknown_probe',
      hint: nearMiss(name, [...everyOf.keys()]) ?? `there are ${[...everyOf.keys()].join(', ')}`,
    })
  const found = readings
    .filter(one => (name === undefined || one.probe === name) && (target === undefined || one.target === target))
    .map(one => readingRecord(one, now))
  print.environment(environment)
  if (name !== undefined && !print.json && found.length) return found.forEach(one => tellWhole(print, one, now))
  print.rows(
    found,
    [
      { head: 'target', of: r => r.target },
      { head: 'probe', of: r => r.probe, colour: () => 'bold' },
      { head: 'state', of: r => r.state, colour: r => (r.state === 'ok' ? 'green' : 'red') },
      { head: 'read', of: r => `${ago(r.at, now)} ago` },
      { head: 'every', wide: true, of: r => r.every },
      { head: 'about', of: r => (r.error ? `since ${past(r.since, now)}: ${r.error.message}` : figures(r.result)) },
    ],
    'nothing was read yet; ./dbops targets shows what is looked after, ./dbops workers who looks',
  )
}

function tellWhole(print: Print, reading: ReadingRecord, now: Date): void {
  const { target, probe, state, since, at, every, result, error } = reading
  print.line()
  print.line(
    `${print.colour('bold', probe)} of ${target}  ${print.colour(state === 'ok' ? 'green' : 'red', state)} since ${past(since, now)}; read ${ago(at, now)} ago, every ${every}`,
  )
  if (error) {
    print.line(`  ${print.colour('red', error.message)}`)
    if (error.hint) print.line(`  ${print.colour('yellow', `hint: ${error.hint}`)}`)
    if (result) print.line(print.colour('dim', '  the last good reading:'))
  }
  for (const line of indent(factLines(result ?? {}, room()))) print.line(line)
}
