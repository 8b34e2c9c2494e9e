// How long a restore check takes to its verdict, beside what a careful person does by hand with the same server: pg_restore -j, and count every table.
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ask } from '@dbops/ledger/commands'
import { find, type Run } from '@dbops/ledger/runs'
import { createSample } from '@dbops/sample/create'
import { installedPostgres } from '@dbops/servers/install'
import { startScratchPostgres } from '@dbops/servers/scratch-postgres'
import { Client } from 'pg'
import { startLine } from '../line.ts'
import { forgetPeak, peakRss } from '../process-facts.ts'
import { machine, median, print, quick, type Row, ratios, say, versionOf } from '../report.ts'

const rows = quick ? 300_000 : 1_500_000
const pairs = quick ? 2 : 5
const jobs = Math.min(4, availableParallelism())
const tables = `
  select format('%s.%s', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p') and n.nspname in ('core', 'vision') order by 1`
const run = promisify(execFile)

const begunAt = performance.now()
let names: string[] = []
await using line = await startLine(async ({ adminUrl, folder }) => {
  const { url } = await createSample(adminUrl, { rows, say })
  const client = new Client(url)
  await client.connect()
  names = (await client.query<{ name: string }>(tables)).rows.map(({ name }) => name)
  await client.end()
  mkdirSync(join(folder, 'store'))
  return `targets: { core: { engine: pg, url: "${url}", appRole: core_app } }
stores: { main: { url: "file://${folder}/store", free: 1MiB } }
dumps: { everything: { target: core, data: [${names.join(', ')}], stores: [main] } }
`
})
await line.start('apps/scheduler/src/main.ts')
const maintainer = await line.start('apps/pg-maintainer/src/main.ts')

async function command(task: string, params: Record<string, unknown>): Promise<Run> {
  const answer = await ask(line.ledger, { verb: 'run', body: { task, params }, actor: 'bench' })
  if (!answer.ok) throw new Error(answer.error.message)
  for (;;) {
    const [found] = await find(line.ledger, answer.run)
    if (found?.finishedAt) {
      if (found.state !== 'succeeded') throw new Error(`${task} ${found.state}: ${found.error?.message}`)
      return found
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

say('dumping')
await command('pg.dump', { dump: 'everything' })
const files = readdirSync(join(line.folder, 'store'), { recursive: true, encoding: 'utf8' })
const fileOf = (name: string) => join(line.folder, 'store', files.find(file => file.endsWith(name))!)
const [dump, globals] = [fileOf('dump.pgdump'), fileOf('globals.sql')]

interface Facts {
  rtoSeconds: number
  seconds: Record<string, number>
  bytes: number
  rows: number
  checks: { name: string; seconds: number }[]
  mutations: { caught: number; total: number } | null
}
interface Took {
  whole: number
  /** Without the start of the server. */
  running: number
}

async function ours(params: Record<string, unknown> = {}): Promise<Took & { facts: Facts; peak: number }> {
  forgetPeak(maintainer.pid)
  const { result } = await command('pg.restore-check', { dump: 'everything', ...params })
  const facts = result as unknown as Facts
  return { whole: facts.rtoSeconds, running: facts.rtoSeconds - facts.seconds['start']!, facts, peak: peakRss(maintainer.pid) }
}

async function byHand(): Promise<Took> {
  const begun = performance.now()
  await using server = await startScratchPostgres({ name: `bench-${process.pid}`, program: installedPostgres()[0]!.program })
  const started = performance.now()
  const env = { ...process.env, PGHOST: server.host, PGPORT: String(server.port), PGUSER: server.user, PGPASSWORD: server.password }
  await run('psql', ['-Xq', '-d', 'postgres', '-f', globals], { env })
  await run('createdb', ['-T', 'template0', 'restored'], { env })
  await run('pg_restore', ['--exit-on-error', `--jobs=${jobs}`, '-d', 'restored', dump], { env })
  await run('psql', ['-Xq', '-d', 'restored', ...names.flatMap(name => ['-c', `select count(*) from ${name}`])], { env })
  const ended = performance.now()
  return { whole: (ended - begun) / 1_000, running: (ended - started) / 1_000 }
}

say('warming up')
await byHand()
await ours()
const taken: { ours: Awaited<ReturnType<typeof ours>>; hand: Took }[] = []
for (let i = 0; i < pairs; i++) {
  // Who goes first changes, so that what the other left in the caches helps both alike.
  const first = i % 2 ? await byHand() : undefined
  const mine = await ours()
  taken.push({ ours: mine, hand: first ?? (await byHand()) })
  const { ours: o, hand } = taken.at(-1)!
  say(`pair ${i + 1} of ${pairs}: ours ${o.whole.toFixed(1)} s, by hand ${hand.whole.toFixed(1)} s`)
}
say('trying the checks')
const tried = await ours({ mutate: true })

const beside = `pg_restore -j${jobs} and counts`
const whole: Row = {
  what: 'from nothing to the verdict',
  unit: 's',
  ours: taken.map(({ ours: o }) => o.whole),
  peer: taken.map(({ hand }) => hand.whole),
  beside,
  goal: '≤ 1.15 × by hand',
}
const phase = (name: string) => median(taken.map(({ ours: { facts } }) => facts.seconds[name] ?? 0)).toFixed(2)
const slowest = taken[0]!.ours.facts.checks.toSorted((a, b) => b.seconds - a.seconds).slice(0, 4)
const { facts } = taken[0]!.ours
print({
  area: 'restore',
  seconds: Math.round((performance.now() - begunAt) / 1_000),
  machine: machine(),
  versions: { node: process.versions.node, pg_restore: versionOf('pg_restore') },
  rows: [
    { ...whole, met: median(ratios(whole)) <= 1.15 },
    {
      what: 'the same without the start of the server',
      unit: 's',
      ours: taken.map(({ ours: o }) => o.running),
      peer: taken.map(({ hand }) => hand.running),
      beside,
    },
    { what: 'memory of pg-maintainer at its peak', unit: 'MB RSS', ours: taken.map(({ ours: o }) => o.peak) },
    { what: 'trying the checks with planted faults', unit: 's', ours: [tried.facts.seconds['mutations'] ?? 0] },
  ],
  notes: [
    `${facts.rows.toLocaleString('en')} rows, ${(facts.bytes / 2 ** 20).toFixed(0)} MB of dump; both restore into a server of the same settings (no fsync), started for it`,
    `phases: ${Object.keys(facts.seconds)
      .map(name => `${name} ${phase(name)} s`)
      .join(', ')}`,
    `slowest checks: ${slowest.map(({ name, seconds }) => `${name} ${seconds} s`).join(', ')}`,
    `planted faults seen: ${tried.facts.mutations?.caught} of ${tried.facts.mutations?.total}`,
  ],
})
