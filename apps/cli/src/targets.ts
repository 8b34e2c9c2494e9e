// Targets: whether each answers, and what its maintainer found out about it when it started and looks up again every minute.
import { nearMiss } from '@dbops/contract/names'
import type { Ledger } from '@dbops/ledger/ledger'
import { healthOfTargets, listReadings } from '@dbops/ledger/probes'
import { listTargets } from '@dbops/ledger/schedules'
import { bad, type Check, foundOnTargets, ok, tellCheck } from './checks.ts'
import type { Context } from './command.ts'
import { exits } from './exits.ts'
import { Failed } from './fail.ts'
import { past } from './moment.ts'
import { ago } from './print.ts'
import { figures } from './reading-words.ts'

export async function targets({ print, connect }: Context): Promise<void> {
  const { ledger, environment } = await connect()
  const [now, health, readings] = [await ledger.now(), await healthOfTargets(ledger), await listReadings(ledger)]
  const rows = health.map(({ name, engine, state, since }) => {
    const reading = readings.find(one => one.target === name && one.probe === `${engine}.health`)
    return {
      name,
      engine,
      state: state === 'ok' ? 'up' : state === 'failed' ? 'down' : null,
      since,
      readAt: reading?.at ?? null,
      version: (reading?.result?.['version'] as string | undefined) ?? null,
      health: reading?.result ?? null,
      error: reading?.error ?? null,
    }
  })
  print.environment(environment)
  print.rows(
    rows,
    [
      { head: 'target', of: t => t.name, colour: () => 'bold' },
      { head: 'engine', of: t => t.engine },
      {
        head: 'state',
        of: t => t.state ?? 'not read yet',
        colour: t => (t.state === 'up' ? 'green' : t.state === 'down' ? 'red' : 'yellow'),
      },
      { head: 'since', of: t => t.since && past(t.since, now) },
      { head: 'read', wide: true, of: t => t.readAt && `${ago(t.readAt, now)} ago` },
      { head: 'version', of: t => t.version },
      { head: 'about', of: t => t.error?.message ?? figures(withoutVersion(t.health)) },
    ],
    'none is configured; see docs/config.md, section targets',
  )
}

const withoutVersion = (health: Record<string, unknown> | null) =>
  health && Object.fromEntries(Object.entries(health).filter(([key]) => key !== 'version'))

export async function checkTargets({ args, print, connect }: Context): Promise<number> {
  const name = args[0] as string | undefined
  const { ledger, environment } = await connect()
  if (name !== undefined) await mustBeTarget(ledger, name)
  const known = (await listTargets(ledger)).map(target => target.name).filter(one => name === undefined || one === name)
  const [found, readings] = [await foundOnTargets(ledger), await listReadings(ledger)]
  const checks: Check[] = known.flatMap(target => {
    const mine = found.filter(({ area }) => area === `target ${target}`)
    if (mine.length) return mine
    const { state, result } = readings.find(one => one.target === target && one.probe.endsWith('.health')) ?? {}
    // Not every engine has more to say than that.
    if (state === 'ok') return [ok(`target ${target}`, `it answers, version ${(result?.['version'] as string | undefined) ?? 'unknown'}`)]
    return [bad('warning', `target ${target}`, 'no maintainer has looked at it yet', 'is one of its engine running? ./dbops workers')]
  })
  print.environment(environment)
  const widest = Math.max(0, ...checks.map(({ area }) => area.length))
  for (const check of checks) tellCheck(print, check, widest)
  if (!known.length) print.line('none is configured; see docs/config.md, section targets')
  return checks.some(({ level }) => level === 'error') ? exits.failed : exits.done
}

/** Fails with exit 2, and the near miss. */
export async function mustBeTarget(ledger: Ledger, name: string): Promise<void> {
  const known = (await listTargets(ledger)).map(target => target.name)
  if (known.includes(name)) return
  throw new Failed('wrong', `there is no target "${name}"`, {
    code: 'unknown_target',
    hint: nearMiss(name, known) ?? (known.length ? `there ${known.length > 1 ? 'are' : 'is'} ${known.join(', ')}` : 'none is configured'),
  })
}
