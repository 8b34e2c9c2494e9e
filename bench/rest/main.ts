// What the system costs while nothing is to be done: memory, processor and connections of each service over a minute, and how soon each is ready; beside an empty Node process.
import { setTimeout as sleep } from 'node:timers/promises'
import { createSample } from '@dbops/sample/create'
import { type Process, startLine } from '../line.ts'
import { cpuSeconds, rss } from '../process-facts.ts'
import { machine, median, print, quick, type Row, say } from '../report.ts'

const apps = ['scheduler', 'pg-maintainer', 'redis-inspector', 'alert-relay'] as const
const windows = 5
const windowMs = quick ? 2_000 : 12_000
const starts = quick ? 2 : 5
const goals = { memory: 80, processor: 0.5, connections: 3, start: 1_000 }

const sessions = `select application_name as name, count(*)::int as n from pg_stat_activity where datname = current_database() group by 1`

const begunAt = performance.now()
await using line = await startLine(async ({ adminUrl, platformRedisUrl }) => {
  const sample = await createSample(adminUrl, { rows: 10_000 })
  // The sample platform's own plan (config/sample.yaml) without its schedules.
  return `environment: sample
targets:
  core: { engine: pg, url: "${sample.url}" }
  cache: { engine: redis, url: "${platformRedisUrl}" }
alerts:
  channels:
    desk: { type: console }
    hook: { type: webhook, url: "http://127.0.0.1:9/", secret: "of the bench" }
  routes:
    - { match: { severity: [error, critical] }, to: [desk, hook] }
`
})
const mainOf = (app: string) => `apps/${app}/src/main.ts`

say('how soon each is ready')
const startTimes = new Map<string, number[]>(apps.map(app => [app, []]))
const floorStarts: number[] = []
for (let i = 0; i <= starts; i++) {
  for (const app of apps) {
    const started = await line.start(mainOf(app))
    await started.stop()
    // The first start of all migrates the ledger and warms the files.
    if (i > 0) startTimes.get(app)!.push(started.readyAfter)
  }
  const floor = await line.startPeer('bench/rest/processes/floor.ts')
  await floor.stop()
  if (i > 0) floorStarts.push(floor.readyAfter)
}

const running = new Map<string, Process>()
for (const app of apps) running.set(app, await line.start(mainOf(app)))
const floor = await line.startPeer('bench/rest/processes/floor.ts')
say('settling')
await sleep(quick ? 3_000 : 20_000)

const memory = new Map<string, number[]>(apps.map(app => [app, []]))
const processor = new Map<string, number[]>(apps.map(app => [app, []]))
const connections = new Map<string, number[]>(apps.map(app => [app, []]))
const beside = { memory: [] as number[], processor: [] as number[], server: [] as number[] }
for (let i = 0; i < windows; i++) {
  const before = new Map([...running].map(([app, { pid }]) => [app, cpuSeconds(pid)]))
  const floorBefore = cpuSeconds(floor.pid)
  const at = performance.now()
  await sleep(windowMs)
  const seconds = (performance.now() - at) / 1_000
  const found = (await line.ledger.query<{ name: string; n: number }>(sessions)).rows
  for (const [app, { pid }] of running) {
    memory.get(app)!.push(rss(pid))
    processor.get(app)!.push(((cpuSeconds(pid) - before.get(app)!) / seconds) * 100)
    connections.get(app)!.push(found.filter(({ name }) => name.startsWith(`dbops:${app}@`)).reduce((sum, { n }) => sum + n, 0))
  }
  beside.memory.push(rss(floor.pid))
  beside.processor.push(((cpuSeconds(floor.pid) - floorBefore) / seconds) * 100)
  say(`window ${i + 1} of ${windows}`)
}

const rows: Row[] = apps.flatMap(app => [
  row(`${app}: memory`, 'MB RSS', memory.get(app)!, goals.memory, beside.memory),
  row(`${app}: processor`, '% of a core', processor.get(app)!, goals.processor),
  row(`${app}: connections to the ledger`, 'sessions', connections.get(app)!, goals.connections),
  row(`${app}: start to ready`, 'ms', startTimes.get(app)!, goals.start, floorStarts),
])
const sum = (of: Map<string, number[]>) =>
  Array.from({ length: windows }, (_, i) => [...of.values()].reduce((total, list) => total + list[i]!, 0))
rows.push(row('all four: memory', 'MB RSS', sum(memory), 450), row('all four: processor', '% of a core', sum(processor)))
function row(what: string, unit: string, ours: number[], goal?: number, peer?: number[]): Row {
  return {
    what,
    unit,
    ours,
    ...(peer ? { peer, beside: 'empty Node' } : {}),
    ...(goal === undefined ? {} : { goal: `≤ ${goal}`, met: median(ours) <= goal }),
  }
}
print({
  area: 'rest',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node },
  rows,
  notes: [
    `an empty Node process takes ${median(beside.memory).toFixed(0)} MB and ${median(beside.processor).toFixed(2)} % of a core`,
    `${windows} windows of ${windowMs / 1_000} s after the start; the kernel counts processor time in steps of 10 ms: ${(1_000 / windowMs).toFixed(2)} % of a window`,
  ],
})
