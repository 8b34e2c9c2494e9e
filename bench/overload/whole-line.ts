// The whole line with too much to do: runs carried out while 100,000 wait, and a million events that nobody has been told of; how quickly it goes on, and whether any process grows.
import { setTimeout as sleep } from 'node:timers/promises'
import { ask } from '@dbops/ledger/commands'
import { createDatabase } from '@dbops/servers/postgres'
import { manyEvents, manyRuns } from '@dbops/testing/too-much'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { startLine } from '../line.ts'
import { forgetPeak, peakRss, rss } from '../process-facts.ts'
import { machine, median, print, quick, type Row, say, versionOf } from '../report.ts'

const stream = 'dbops:events'
const [few, many] = quick ? [1_000, 5_000] : [5_000, 100_000]
const seconds = quick ? 10 : 60
const events = quick ? 50_000 : 1_000_000
const chunk = 50_000

const begunAt = performance.now()
await using line = await startLine(async ({ adminUrl }) => {
  const target = await createDatabase(adminUrl, 'target')
  const db = new Client(target)
  await db.connect()
  await db.query('create table t (id int primary key)')
  await db.end()
  return `
environment: test
targets: { core: { engine: pg, url: "${target}", concurrency: { heavy: 16, light: 16 } } }
alerts:
  channels: { desk: { type: console } }
  routes: [{ match: {}, to: [desk] }]
`
})
const redis = new Redis(line.redisUrl)
let scheduler = await line.start('apps/scheduler/src/main.ts')
const maintainer = await line.start('apps/pg-maintainer/src/main.ts', ['--concurrency', 'heavy=16'])
const relay = await line.start('apps/alert-relay/src/main.ts')
const rows: Row[] = []

const answer = await ask<{ run: string }>(
  line.ledger,
  { verb: 'run', body: { task: 'pg.analyze', target: 'core', params: { tables: ['public.t'] } }, actor: 'bench' },
  20_000,
)
if (!answer.ok) throw new Error(answer.error.message)
const first = answer.run
await until(async () => (await count(`select count(*)::int as n from runs where state = 'succeeded'`)) === 1)
const atRest = { scheduler: rss(scheduler.pid), maintainer: rss(maintainer.pid), relay: rss(relay.pid) }

// In pieces: a statement of the ledger may not take for ever.
const flood = manyRuns(`now() + interval '1 day'`)
const waiting = () => count(`select count(*)::int as n from runs where state = 'queued'`)
const ended = () => count(`select count(*)::int as n from runs where state = 'succeeded'`)
/** Runs that end in a second, every ten seconds, while so many wait. */
async function rateWith(queued: number): Promise<number[]> {
  say(`${queued} runs wait`)
  for (let n = await waiting(); n < queued; n += chunk) await line.ledger.query(flood, [first, Math.min(chunk, queued - n)])
  await line.ledger.query('analyze runs')
  await sleep(10_000)
  const rates: number[] = []
  for (let turn = 0; turn < seconds / 10; turn++) {
    const [before, at] = [await ended(), performance.now()]
    await sleep(10_000)
    rates.push(((await ended()) - before) / ((performance.now() - at) / 1_000))
  }
  if ((await waiting()) === 0) throw new Error(`all ${queued} runs had ended before the time was over`)
  return rates
}
const peer = await rateWith(few)
for (const { pid } of [scheduler, maintainer, relay]) forgetPeak(pid)
const ours = await rateWith(many)
rows.push({
  what: `runs that end while ${many} wait`,
  unit: '1/s',
  ours,
  peer,
  beside: `while ${few} wait`,
  goal: '≥ 0.8 ×',
  met: median(ours) >= 0.8 * median(peer),
})
memoryRow(`while ${many} runs wait`)
await line.ledger.query(`delete from run_locks where not held`)
await line.ledger.query(`update runs set state = 'cancelled', finished_at = now() where state = 'queued'`)

await until(async () => (await count(`select count(*)::int as n from outbox where ord is null`)) === 0)
say(`${events} events, and no scheduler to publish them`)
await scheduler.stop()
const before = await redis.xlen(stream)
for (let n = 0; n < events; n += chunk) await line.ledger.query(manyEvents, [chunk])
await line.ledger.query('analyze outbox')
for (const { pid } of [maintainer, relay]) forgetPeak(pid)
const at = performance.now()
scheduler = await line.start('apps/scheduler/src/main.ts')
await until(async () => (await redis.xlen(stream)) >= before + events)
const published = (performance.now() - at) / 1_000
const readers = ['alert-relay', 'scheduler'] as const
await until(async () => {
  const groups = (await redis.xinfo('GROUPS', stream)) as unknown[][]
  const facts = groups.map(each =>
    Object.fromEntries(Array.from({ length: each.length / 2 }, (_, i) => [String(each[2 * i]), each[2 * i + 1]])),
  )
  return readers.every(name => facts.some(group => group['name'] === name && group['lag'] === 0 && group['pending'] === 0))
})
const read = (performance.now() - at) / 1_000
rows.push(
  { what: `${events} events: published`, unit: '1/s', ours: [events / published] },
  {
    what: 'both readers of ours have handled or passed by all',
    unit: '1/s',
    ours: [events / read],
    goal: '≥ 5,000',
    met: events / read >= 5_000,
  },
)
memoryRow(`while ${events} events are behind`)
redis.disconnect()
print({
  area: 'overload',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node, PostgreSQL: versionOf('psql'), Redis: versionOf('redis-server') },
  rows,
  notes: [
    'one scheduler, one pg-maintainer of 16 places, one alert-relay, PostgreSQL and Redis on this machine; a run is pg.analyze of an empty table',
    'the scheduler of the second half is a new process: its time to be ready is in the rates',
  ],
})
process.exit(0)

function memoryRow(when: string): void {
  for (const [name, pid, rest] of [
    ['scheduler', scheduler.pid, atRest.scheduler],
    ['pg-maintainer', maintainer.pid, atRest.maintainer],
    ['alert-relay', relay.pid, atRest.relay],
  ] as const)
    rows.push({
      what: `${name} at its peak, ${when}`,
      unit: 'MB',
      ours: [peakRss(pid)],
      peer: [rest],
      beside: 'at rest',
      goal: '< 2 ×',
      met: peakRss(pid) < 2 * rest,
    })
}
async function count(sql: string): Promise<number> {
  return (await line.ledger.query<{ n: number }>(sql)).rows[0]!.n
}
async function until(look: () => Promise<boolean>): Promise<void> {
  while (!(await look())) await sleep(250)
}
