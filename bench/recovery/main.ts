// How long it takes until work goes on after a fault, at the timers that a user has: a worker (beside BullMQ alone) or a scheduler that is killed, a Redis that is away, frozen, emptied or set back, a ledger that is away.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ask } from '@dbops/ledger/commands'
import { type Ledger, openLedger } from '@dbops/ledger/ledger'
import { startRedis } from '@dbops/servers/redis'
import { type Installation, startInstallation } from '@dbops/testing/chaos/installation'
import { until } from '@dbops/testing/until'
import { Queue, Worker } from 'bullmq'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean' },
    quick: { type: 'boolean' },
    times: { type: 'string', default: '10' },
    only: { type: 'string', multiple: true },
  },
})
const times = values.quick ? 1 : Number(values.times)
const say = (line: string) => process.stderr.write(`${line}\n`)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

interface Place {
  at: Installation
  ledger: Ledger
}
const ready = ({ ledger }: Place) =>
  until(
    'every service is ready',
    async () =>
      (
        await ledger.query<{ n: number }>(
          `select count(distinct name)::int as n from services where ready and seen_at > now() - interval '7 s'`,
        )
      ).rows[0]!.n >= 7,
    { within: 120_000, every: 250 },
  )
const now = async ({ ledger }: Place) => (await ledger.query<{ now: Date }>('select clock_timestamp() as now')).rows[0]!.now

/** Seconds from the SIGKILL of a worker to the next claim of the run that it had in hand. */
async function workerKilled(place: Place): Promise<number[]> {
  const { at, ledger } = place
  for (;;) {
    await ready(place)
    const run = await until(
      'a run is at work',
      async () =>
        (
          await ledger.query<{ id: string; worker: string; fence: number }>(
            `select id, worker, fence from runs where state = 'running' and task = 'pg.purge' and losses = 0`,
          )
        ).rows[0],
      { within: 60_000, every: 10 },
    )
    const victim = at.processes.find(({ pid }) => run.worker.endsWith(`:${pid}`))
    const killedAt = await now(place)
    victim?.signal('SIGKILL')
    const next = await until(
      'it is claimed again, or had ended before',
      async () => {
        const { rows } = await ledger.query<{ at: Date | null; over: boolean }>(
          `select (select min(at) from history where run = $1 and event = 'claimed' and fence > $2) as at,
                  (select fence = $2 and state not in ('running', 'queued') from runs where id = $1) as over`,
          [run.id, run.fence],
        )
        return rows[0]!.at || rows[0]!.over ? rows[0] : undefined
      },
      { within: 120_000, every: 100 },
    )
    if (next.at) return [(next.at.getTime() - killedAt.getTime()) / 1_000]
  }
}

/** What is done to Redis, and undone 45 s later. */
const redisFaults = {
  away: { begin: ({ redis }: Installation) => redis.stop('orderly'), end: ({ redis }: Installation) => redis.start('its own') },
  empty: { begin: ({ redis }: Installation) => redis.stop('killed'), end: ({ redis }: Installation) => redis.start('none') },
  older: { begin: ({ redis }: Installation) => redis.stop('killed'), end: ({ redis }: Installation) => redis.start('older') },
  frozen: {
    begin: async ({ redis }: Installation) => redis.signal('SIGSTOP'),
    end: async ({ redis }: Installation) => redis.signal('SIGCONT'),
  },
}
/** Seconds from the return of a Redis that was away for 45 s to the claim of a run that was asked for meanwhile. */
const redisAway = (fault: keyof typeof redisFaults) => async (place: Place) => {
  const { at, ledger } = place
  await ready(place)
  await at.redis.keep()
  await redisFaults[fault].begin(at)
  const answer = await ask<{ run: string }>(
    ledger,
    { verb: 'run', body: { task: 'pg.analyze', target: 'core', params: { tables: ['chaos.b'] } }, actor: 'bench' },
    30_000,
  )
  if (!answer.ok) throw new Error(answer.error.message)
  await sleep(45_000)
  await redisFaults[fault].end(at)
  const back = await now(place)
  const claimed = await until(
    'it is claimed',
    async () =>
      (await ledger.query<{ at: Date }>(`select at from history where run = $1 and event = 'claimed' order by n limit 1`, [answer.run]))
        .rows[0],
    { within: 120_000, every: 100 },
  )
  return [Math.max(0, (claimed.at.getTime() - back.getTime()) / 1_000)]
}

/** Seconds from the SIGKILL of the scheduler that publishes to the first event from after it that is in the stream. */
async function publisherKilled(place: Place): Promise<number[]> {
  const { at, ledger } = place
  await ready(place)
  const { rows } = await ledger.query<{ holder: string }>(`select holder from leases where name = 'publisher' and until > now()`)
  const killedAt = await now(place)
  at.processes.find(({ pid }) => rows[0]?.holder.endsWith(`:${pid}`))?.signal('SIGKILL')
  const { at: told } = await until(
    'an event is told',
    async () => {
      const [first] = (
        await ledger.query<{ at: Date | null }>(`select min(published_at) as at from outbox where created_at > $1`, [killedAt])
      ).rows
      return first?.at ? { at: first.at } : undefined
    },
    { within: 120_000, every: 100 },
  )
  return [(told.getTime() - killedAt.getTime()) / 1_000]
}

/** Seconds from the stop of the ledger to the notification at the receiver, and from its return to the notification of its end. */
async function ledgerAway(place: Place): Promise<number[]> {
  const { at } = place
  await ready(place)
  const told = async (state: string, since: number) =>
    until(
      `ledger_unreachable is ${state}`,
      async () => {
        const found = (await at.sources()).notifications.find(one => {
          const { alert } = one.body as { alert: { name: string; state: string } }
          return one.status === 204 && one.at.getTime() >= since && alert.name === 'ledger_unreachable' && alert.state === state
        })
        return found && (found.at.getTime() - since) / 1_000
      },
      { within: 180_000, every: 100 },
    )
  const gone = Date.now()
  await at.ledger.stop('fast')
  const firing = await told('firing', gone)
  const back = Date.now()
  await at.ledger.start()
  return [firing, await told('resolved', back)]
}

/** Seconds from the SIGKILL of a worker of BullMQ alone to the next start of its job. */
async function bullmqKilled(url: string): Promise<number[]> {
  const connection = { url }
  const queue = new Queue('recovery', { connection })
  const killed = new Map<string, number>()
  const found: number[] = []
  const children = []
  for (let i = 0; i < times; i++) {
    const child = fork(join(import.meta.dirname, 'processes/bullmq-worker.ts'), [url], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    process.once('exit', () => child.kill('SIGKILL'))
    await queue.add('job', {}, { jobId: `job-${i}` })
    await once(child, 'message')
    children.push(child)
  }
  const successor = new Worker('recovery', async job => void found.push((performance.now() - killed.get(job.id!)!) / 1_000), { connection })
  await successor.waitUntilReady()
  for (const [i, child] of children.entries()) {
    await sleep(30_000 / times) // spread over the interval at which it looks for stalled jobs
    killed.set(`job-${i}`, performance.now())
    child.kill('SIGKILL')
  }
  await until('all jobs were taken again', () => found.length === times, { within: 180_000, every: 200 })
  await successor.close()
  await queue.close()
  return found
}

interface Kind {
  /** What is measured, each with its goal in seconds where the design names one. */
  rows: { what: string; goal: number | null }[]
  trial(place: Place): Promise<number[]>
}
const afterRedis = (how: string) => [{ what: `Redis ${how} for 45 s → what waited is claimed`, goal: 15 }]
const kinds: Record<string, Kind> = {
  worker: { rows: [{ what: 'worker killed → its run is claimed again', goal: 60 }], trial: workerKilled },
  publisher: { rows: [{ what: 'publishing scheduler killed → the next event is told', goal: null }], trial: publisherKilled },
  away: { rows: afterRedis('away'), trial: redisAway('away') },
  frozen: { rows: afterRedis('frozen'), trial: redisAway('frozen') },
  empty: { rows: afterRedis('killed, back empty,'), trial: redisAway('empty') },
  older: { rows: afterRedis('killed, back older,'), trial: redisAway('older') },
  ledger: {
    rows: [
      { what: 'ledger stopped → ledger_unreachable is told', goal: 60 },
      { what: 'ledger back → its end is told', goal: null },
    ],
    trial: ledgerAway,
  },
}

/** All trials of a kind, on an installation of its own. */
async function measure(name: string, { rows, trial }: Kind) {
  await using at = await startInstallation({ say: () => undefined, timers: 'real' })
  const ledger = await openLedger({ url: at.ledgerUrl, name: 'bench', sessions: 2, onWait: () => undefined })
  const seconds: number[][] = []
  try {
    for (let i = 1; i <= times; i++) {
      seconds.push(await trial({ at, ledger }))
      say(
        `${name}: ${i} of ${times}, ${seconds
          .at(-1)!
          .map(one => `${one.toFixed(1)} s`)
          .join(', ')}`,
      )
    }
  } finally {
    await ledger.close()
  }
  return rows.map((row, column) => ({ ...row, seconds: seconds.map(each => each[column]!) }))
}

const wanted = values.only ?? Object.keys(kinds)
const unknown = wanted.find(name => !kinds[name])
if (unknown !== undefined) throw new Error(`--only ${unknown}: there are ${Object.keys(kinds).join(', ')}`)
const begun = performance.now()
const measured: { what: string; goal: number | null; seconds: number[] }[] = []
// Three installations at a time: more would measure the machine.
for (let n = 0; n < wanted.length; n += 3)
  measured.push(...(await Promise.all(wanted.slice(n, n + 3).map(name => measure(name, kinds[name]!)))).flat())
if (wanted.includes('worker')) {
  const own = await startRedis({ settings: { maxmemoryPolicy: 'noeviction' }, say: () => undefined })
  measured.splice(1, 0, { what: '… BullMQ alone, its defaults', goal: null, seconds: await bullmqKilled(own.url) })
  await own.stop()
}

const rows = measured.map(({ what, goal, seconds }) => {
  const sorted = seconds.toSorted((a, b) => a - b)
  const at = (share: number) => Number(sorted[Math.ceil(sorted.length * share) - 1]!.toFixed(1))
  return { what, times: sorted.length, min: at(0.01), p50: at(0.5), max: at(1), goal, met: goal === null ? null : sorted.at(-1)! <= goal }
})
if (values.json)
  process.stdout.write(`${JSON.stringify({ area: 'recovery', seconds: Math.round((performance.now() - begun) / 1_000), rows })}\n`)
else
  for (const { what, times, min, p50, max, goal, met } of rows)
    process.stdout.write(
      `${what.padEnd(54)} ${times} × ${min} s least, p50 ${p50} s, max ${max} s${goal === null ? '' : `; goal ${goal} s, ${met ? 'met' : 'missed'}`}\n`,
    )
process.exit(0)
