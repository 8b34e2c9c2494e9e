// The chaos run: an installation under traffic and faults, then put right, left to finish, stopped in order, and judged by its history.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from '@dbops/ledger/commands'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import type { Asked } from '../history/asked.ts'
import { checkHistory, type Violation } from '../history/check-history.ts'
import { readHistory } from '../history/read-history.ts'
import { until } from '../until.ts'
import { applyFault, describeFault, type Fault, planFaults } from './faults.ts'
import { type Installation, startInstallation } from './installation.ts'
import { schedules } from './plan.ts'
import { randomFrom } from './random.ts'
import { startTraffic } from './traffic.ts'

export interface ChaosOptions {
  minutes: number
  seed: number
  /** Milliseconds between two faults, on the average. */
  every?: number
  /** Kinds of faults; all by default. */
  only?: string[]
  /** In place of those that the seed draws: a list that was printed. */
  faults?: Fault[]
  say?: (line: string) => void
  signal?: AbortSignal
  /** Where the installation's files are copied on a violation. */
  keep?: string
}
export interface ChaosReport {
  seed: number
  seconds: number
  faults: Record<string, number>
  counts: Record<string, number>
  /** Kinds that this machine does not give. */
  missing: { kind: string; why: string }[]
  /** How long each process took to stop at the end, in ms; null: it was killed. */
  stops: Record<string, number | null>
  violations: Violation[]
  folder: string
}

const actor = 'chaos'

export async function runChaos({ minutes, seed, every = 1_500, say = () => undefined, ...o }: ChaosOptions): Promise<ChaosReport> {
  await using at = await startInstallation({ say })
  const ledger = await openLedger({ url: at.ledgerUrl, name: actor, sessions: 2 })
  try {
    for (const { kind, why } of at.missing) say(`left out: ${kind} (${why})`)
    await until('every service is ready', () => everyReady(ledger), { within: 60_000, every: 250 })
    const begun = await now(ledger)
    const traffic = await startTraffic(at, randomFrom(seed + 1))
    const duration = minutes * 60_000
    const names = {
      processes: at.processes.map(one => ({
        name: one.name,
        servers: (['ledger', 'redis', 'target', 'platform'] as const).filter(server => one.proxy(server)),
      })),
    }
    const faults = o.faults ?? planFaults({ seed, duration, every, names, only: o.only, without: at.missing.map(one => one.kind) })
    const happened = await carryOut(faults, at, duration, say, o.signal)

    say('the faults are over; what is at work is left to finish')
    await traffic.stop()
    await until('every service is ready again', () => everyReady(ledger), { within: 60_000, every: 250 })
    // No further births: what was due until here is planned, and no schedule is due any more.
    await ledger.query(`insert into pauses (id, scope, until, actor) values (gen_random_uuid(), 'all', now() + interval '1 day', $1)`, [
      actor,
    ])
    const ended = await now(ledger)
    await finish(ledger, at, ended, say)
    const stops: ChaosReport['stops'] = {}
    await Promise.all(at.processes.map(async one => void (stops[one.name] = await one.retire())))
    const asked: Asked = {
      from: begun,
      to: ended,
      schedules: schedules.map(({ name, offset, every: step }) => ({ name, target: 'core', offset, every: step })),
      actor,
      commands: traffic.commands,
      readers: ['reporting'],
      poison: at.poison,
      platformEvents: traffic.platformEvents,
      triggered: [{ name: 'refresh-on-data', event: 'data_registered' }],
      faults: happened.map(fault => ({ at: new Date(begun.getTime() + fault.at), kind: fault.kind, what: describeFault(fault) })),
    }
    const history = await readHistory(await at.sources())
    const violations = checkHistory(history, asked)
    for (const [name, took] of Object.entries(stops))
      if (took === null) violations.push({ rule: 'an orderly stop ends within its deadline', what: name, evidence: 'killed after 12 s' })
    const report: ChaosReport = {
      seed,
      seconds: Math.round((ended.getTime() - begun.getTime()) / 1_000),
      faults: countBy(happened.map(one => one.kind)),
      counts: history.counts,
      missing: at.missing,
      stops,
      violations,
      folder: at.folder,
    }
    if (violations.length && o.keep) keepEvidence(at, o.keep, { asked, history }, faults)
    return report
  } finally {
    await ledger.close()
  }
}

const now = async (ledger: Ledger) => (await ledger.query<{ now: Date }>('select clock_timestamp() as now')).rows[0]!.now

export const everyReady = async (ledger: Ledger) =>
  (
    await ledger.query<{ ready: boolean }>(
      `select count(distinct name) >= 7 as ready from services where ready and seen_at > now() - interval '2 s'`,
    )
  ).rows[0]!.ready

async function carryOut(faults: Fault[], at: Installation, duration: number, say: (line: string) => void, signal?: AbortSignal) {
  const begun = performance.now()
  const happened: Fault[] = []
  const going: Promise<void>[] = []
  const until = (ms: number) => sleep(Math.max(0, ms - (performance.now() - begun)), undefined, { signal }).catch(() => undefined)
  for (const fault of faults) {
    await until(fault.at)
    if (signal?.aborted) break
    say(describeFault(fault))
    happened.push(fault)
    going.push(applyFault(fault, at).catch((error: Error) => say(`this fault itself failed: ${describeFault(fault)}: ${error.message}`)))
  }
  await Promise.all(going)
  await until(duration)
  return happened
}

const unfinished = `
  select task, state, waiting_for as "waitingFor", not_before as "notBefore", not_before > now() + interval '5 s' as "backsOff", id
  from runs where state in ('queued', 'running', 'parked', 'awaiting_approval')`

const onTheWay = `
  select (select count(*)::int from outbox where ord is null) as outbox, (select count(*)::int from deliveries where status = 'pending') as deliveries,
         (select count(*)::int from triggers) as triggers, (select count(*)::int from schedules where enabled and due_at <= $1) as due`

/** Until nothing is at work or on its way. Who would only wait for minutes for a further attempt is cancelled, as a person would. */
async function finish(ledger: Ledger, at: Installation, ended: Date, say: (line: string) => void): Promise<void> {
  const deadline = performance.now() + 900_000
  let moved = { at: performance.now(), to: '' }
  for (;;) {
    const { rows } = await ledger.query<{ id: string; backsOff: boolean; state: string }>(unfinished)
    for (const one of rows.filter(row => row.backsOff && row.state === 'queued'))
      await ask(ledger, { verb: 'cancel', body: { run: one.id }, actor: 'the end' })
    // Repeats and retries that are due much later: time goes on for them.
    await ledger.query(`update deliveries set next_at = now() where status = 'pending' and next_at > now() + interval '3 s'`)
    const { rows: left } = await ledger.query<{ outbox: number; deliveries: number; triggers: number; due: number }>(onTheWay, [ended])
    const rest = left[0]!
    const pending = await pendingOf(at)
    if (!rows.length && !pending && Object.values(rest).every(n => n === 0)) return
    // As long as something moves it is only slow. An entry that a killed reader left is claimed when it has been idle for a minute, so two of them are waited for.
    const to = JSON.stringify([rows.map(({ id, state }) => id + state), rest, pending])
    if (to !== moved.to) moved = { at: performance.now(), to }
    if (performance.now() > Math.min(deadline, moved.at + 120_000)) {
      say(`not finished: ${JSON.stringify({ rows: rows.slice(0, 5), rest, pending })}`)
      return
    }
    await sleep(500)
  }
}

/** What the groups of dbops:events have not read or not acknowledged. */
async function pendingOf(at: Installation): Promise<number> {
  const groups = (await at.redisClient.xinfo('GROUPS', 'dbops:events').catch(() => [])) as unknown[][]
  const last = ((await at.redisClient.xrevrange('dbops:events', '+', '-', 'COUNT', 1)) as [string, string[]][])[0]?.[0]
  return groups
    .map(group => Object.fromEntries(Array.from({ length: group.length / 2 }, (_, i) => [group[2 * i], group[2 * i + 1]])))
    .filter(group => Number(group['pending']) > 0 || group['last-delivered-id'] !== last).length
}

const countBy = (all: string[]) => Object.fromEntries([...new Set(all)].sort().map(one => [one, all.filter(each => each === one).length]))

function keepEvidence(at: Installation, folder: string, what: object, faults: Fault[]) {
  writeFileSync(join(folder, 'faults.json'), JSON.stringify(faults, null, 1))
  writeFileSync(join(folder, 'chaos-history.json'), JSON.stringify(what, null, 1))
  for (const one of at.processes) appendFileSync(join(folder, `${one.name}.log`), readFileSync(join(at.folder, `${one.name}.log`)))
}
